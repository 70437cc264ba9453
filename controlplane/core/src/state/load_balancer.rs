//! Load balancers with their listeners and rules, as Elastic Load Balancing names them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::service::ServiceStatus;
use super::target_group::{check_name, group_not_found};
use crate::id::{ListenerRef, LoadBalancerName, RuleId, TargetGroupName};
use crate::{Event, Exception, Rejection, Timestamp};

/// ALB: at most five target groups in one forward action, each with a weight of 0 to 999.
const MOST_FORWARDS: usize = 5;
const MOST_WEIGHT: u32 = 999;
/// ALB: at most five values over the conditions of a rule.
const MOST_VALUES: usize = 5;
const LONGEST_VALUE: usize = 128;

/// A named set of listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub name: LoadBalancerName,
    pub created_at: Timestamp,
}

/// A share of the requests for one target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    pub target_group: TargetGroupName,
    pub weight: u32,
}

/// Which requests go where: any host pattern and any path pattern must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// 1 to 50000; the lowest is tried first.
    pub priority: u32,
    pub hosts: Vec<String>,
    pub paths: Vec<String>,
    pub forward: Vec<Forward>,
}

/// A port on which requests are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub id: ListenerRef,
    pub port: u16,
    pub default: Vec<Forward>,
    pub rules: Vec<(RuleId, Rule)>,
}

impl ClusterState {
    /// Returns whether a listener sends requests to the group.
    #[must_use]
    pub fn target_group_in_use(&self, group: &TargetGroupName) -> bool {
        self.listeners
            .values()
            .any(|listener| listener.forwards_to(group))
    }

    pub(super) fn create_load_balancer(
        &mut self,
        name: LoadBalancerName,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        check_name(name.as_str())?;
        if self.load_balancers.contains_key(&name) {
            return Err(Rejection::new(
                Exception::DuplicateLoadBalancerName,
                format!("A load balancer with the name '{name}' exists already."),
            ));
        }
        self.load_balancers.insert(
            name.clone(),
            Arc::new(LoadBalancer {
                name,
                created_at: at,
            }),
        );
        Ok(self.routing_changed())
    }

    pub(super) fn delete_load_balancer(
        &mut self,
        name: &LoadBalancerName,
    ) -> Result<Vec<Event>, Rejection> {
        self.load_balancer(name)?;
        let leaves = |listener: &Listener| listener.id.load_balancer == *name;
        let all = self.listeners.values().map(AsRef::as_ref);
        let (leaving, staying): (Vec<&Listener>, Vec<&Listener>) = all.partition(|one| leaves(one));
        self.check_traffic_remains(&staying)?;
        let listeners: Vec<_> = leaving.into_iter().map(|one| one.id.clone()).collect();
        for listener in listeners {
            self.listeners.remove(&listener);
        }
        self.load_balancers.remove(name);
        Ok(self.routing_changed())
    }

    fn load_balancer(&self, name: &LoadBalancerName) -> Result<&Arc<LoadBalancer>, Rejection> {
        self.load_balancers.get(name).ok_or_else(|| {
            Rejection::new(
                Exception::LoadBalancerNotFound,
                format!("Load balancer '{name}' not found"),
            )
        })
    }

    pub(super) fn create_listener(
        &mut self,
        id: ListenerRef,
        port: u16,
        default: Vec<Forward>,
    ) -> Result<Vec<Event>, Rejection> {
        self.load_balancer(&id.load_balancer)?;
        if port == 0 {
            return Err(Rejection::validation("port must be 1 to 65535"));
        }
        self.check_forwards(&default)?;
        // Every node serves every listener, so a port is unique over all load balancers.
        if self
            .listeners
            .values()
            .any(|listener| listener.port == port)
        {
            return Err(Rejection::new(
                Exception::DuplicateListener,
                format!("A listener already exists on port {port}"),
            ));
        }
        let listener = Listener {
            id: id.clone(),
            port,
            default,
            rules: Vec::new(),
        };
        self.listeners.insert(id, Arc::new(listener));
        Ok(self.routing_changed())
    }

    pub(super) fn delete_listener(&mut self, id: &ListenerRef) -> Result<Vec<Event>, Rejection> {
        self.listener(id)?;
        self.check_traffic_remains(&self.listeners_but(id))?;
        self.listeners.remove(id);
        Ok(self.routing_changed())
    }

    /// Returns the listener.
    ///
    /// # Errors
    /// `ListenerNotFound`.
    pub fn listener(&self, id: &ListenerRef) -> Result<&Arc<Listener>, Rejection> {
        self.listeners.get(id).ok_or_else(|| {
            Rejection::new(
                Exception::ListenerNotFound,
                format!("Listener '{}' not found", id.listener),
            )
        })
    }

    pub(super) fn create_rule(
        &mut self,
        listener: &ListenerRef,
        id: RuleId,
        rule: Rule,
    ) -> Result<Vec<Event>, Rejection> {
        rule.check()?;
        self.check_forwards(&rule.forward)?;
        let known = self.listener(listener)?;
        if known
            .rules
            .iter()
            .any(|(_, one)| one.priority == rule.priority)
        {
            return Err(Rejection::new(
                Exception::PriorityInUse,
                format!("Priority '{}' is currently in use", rule.priority),
            ));
        }
        let known = self
            .listeners
            .get_mut(listener)
            .map(Arc::make_mut)
            .expect("found above");
        known.rules.push((id, rule));
        known.rules.sort_by_key(|(_, rule)| rule.priority);
        Ok(self.routing_changed())
    }

    pub(super) fn delete_rule(
        &mut self,
        listener: &ListenerRef,
        id: &RuleId,
    ) -> Result<Vec<Event>, Rejection> {
        let not_found =
            || Rejection::new(Exception::RuleNotFound, format!("Rule '{id}' not found"));
        let mut changed = self
            .listeners
            .get(listener)
            .ok_or_else(not_found)?
            .as_ref()
            .clone();
        let before = changed.rules.len();
        changed.rules.retain(|(one, _)| one != id);
        if changed.rules.len() == before {
            return Err(not_found());
        }
        let mut remaining = self.listeners_but(listener);
        remaining.push(&changed);
        self.check_traffic_remains(&remaining)?;
        self.listeners.insert(listener.clone(), Arc::new(changed));
        Ok(self.routing_changed())
    }

    fn listeners_but(&self, leaving: &ListenerRef) -> Vec<&Listener> {
        self.listeners
            .values()
            .map(AsRef::as_ref)
            .filter(|one| one.id != *leaving)
            .collect()
    }

    fn check_forwards(&self, forwards: &[Forward]) -> Result<(), Rejection> {
        if forwards.is_empty() || forwards.len() > MOST_FORWARDS {
            return Err(Rejection::validation(
                "a forward action must name 1 to 5 target groups",
            ));
        }
        for forward in forwards {
            if forward.weight > MOST_WEIGHT {
                return Err(Rejection::validation("weight must be 0 to 999"));
            }
            if !self.target_groups.contains_key(&forward.target_group) {
                return Err(group_not_found(&forward.target_group));
            }
        }
        Ok(())
    }

    /// A service whose target group no listener reached any more would lose its traffic unseen.
    fn check_traffic_remains(&self, remaining: &[&Listener]) -> Result<(), Rejection> {
        let active = self
            .services
            .values()
            .filter(|one| one.status == ServiceStatus::Active);
        for service in active {
            for balancer in &service.spec.load_balancers {
                let group = &balancer.target_group;
                if !remaining.iter().any(|listener| listener.forwards_to(group)) {
                    return Err(Rejection::new(
                        Exception::ResourceInUse,
                        format!(
                            "service {} takes its traffic for target group '{group}' from here",
                            service.id
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn routing_changed(&mut self) -> Vec<Event> {
        self.routing_version = self.version;
        vec![Event::RoutingChanged]
    }
}

impl Listener {
    /// Returns whether it sends any request to the group.
    #[must_use]
    pub fn forwards_to(&self, group: &TargetGroupName) -> bool {
        let to = |forwards: &[Forward]| forwards.iter().any(|one| one.target_group == *group);
        to(&self.default) || self.rules.iter().any(|(_, rule)| to(&rule.forward))
    }
}

impl Rule {
    fn check(&self) -> Result<(), Rejection> {
        if !(1..=50_000).contains(&self.priority) {
            return Err(Rejection::validation("priority must be 1 to 50000"));
        }
        let values = self.hosts.len() + self.paths.len();
        if !(1..=MOST_VALUES).contains(&values) {
            return Err(Rejection::validation(
                "a rule must have 1 to 5 condition values",
            ));
        }
        let mut each = self.hosts.iter().chain(&self.paths);
        if each.any(|value| value.is_empty() || value.len() > LONGEST_VALUE) {
            return Err(Rejection::validation(
                "a condition value must have 1 to 128 characters",
            ));
        }
        Ok(())
    }
}
