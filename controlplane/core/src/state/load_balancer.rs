//! Load balancers with their listeners and rules, as Elastic Load Balancing names them.

pub(crate) mod action;
mod attribute;
mod condition;
mod protocol;
mod rule;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::service::ServiceStatus;
use super::target_group::{check_name, group_not_found};
use crate::id::{ListenerRef, LoadBalancerName, RuleId, TargetGroupName};
use crate::{Event, Exception, Rejection, Timestamp};
pub use action::{Action, FixedResponse, Forward, Redirect};
pub use attribute::{ListenerAttribute, ListenerAttributes};
pub use condition::{Condition, QueryParameter, check as check_conditions};
pub use protocol::{ListenerProtocol, Tls};
pub use rule::Rule;

/// A named set of listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub name: LoadBalancerName,
    pub created_at: Timestamp,
}

/// A port on which requests are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub id: ListenerRef,
    pub port: u16,
    #[serde(default)]
    pub protocol: ListenerProtocol,
    #[serde(default)]
    pub attributes: ListenerAttributes,
    /// What happens to a request that no rule takes.
    #[serde(deserialize_with = "action::stored")]
    pub default: Action,
    /// By their priority.
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
        protocol: ListenerProtocol,
        attributes: Vec<ListenerAttribute>,
        default: Action,
    ) -> Result<Vec<Event>, Rejection> {
        self.load_balancer(&id.load_balancer)?;
        let attributes = ListenerAttributes::default().changed(attributes)?;
        if port == 0 {
            return Err(Rejection::validation("port must be 1 to 65535"));
        }
        self.check_protocol(&protocol)?;
        self.check_action(&default)?;
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
            protocol,
            attributes,
            default,
            rules: Vec::new(),
        };
        self.check_fits(&listener)?;
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

    /// Changes what is given, and keeps the rest.
    pub(super) fn modify_listener(
        &mut self,
        id: &ListenerRef,
        protocol: Option<(ListenerProtocol, ListenerProtocol)>,
        attributes: Vec<ListenerAttribute>,
        default: Option<Action>,
    ) -> Result<Vec<Event>, Rejection> {
        let mut changed = self.listener(id)?.as_ref().clone();
        if let Some((protocol, before)) = protocol {
            if changed.protocol != before {
                return Err(Rejection::stale(format!(
                    "the certificates of the listener on port {} have changed meanwhile; look again, and try again",
                    changed.port
                )));
            }
            self.check_protocol(&protocol)?;
            changed.protocol = protocol;
        }
        changed.attributes = changed.attributes.changed(attributes)?;
        if let Some(default) = default {
            self.check_action(&default)?;
            changed.default = default;
        }
        self.replace_listener(changed)
    }

    /// Puts a changed listener in the place of the one before, unless a service would lose its traffic.
    fn replace_listener(&mut self, mut changed: Listener) -> Result<Vec<Event>, Rejection> {
        changed.sort_rules()?;
        self.check_fits(&changed)?;
        let mut remaining = self.listeners_but(&changed.id);
        remaining.push(&changed);
        self.check_traffic_remains(&remaining)?;
        self.listeners.insert(changed.id.clone(), Arc::new(changed));
        Ok(self.routing_changed())
    }

    fn listeners_but(&self, leaving: &ListenerRef) -> Vec<&Listener> {
        self.listeners
            .values()
            .map(AsRef::as_ref)
            .filter(|one| one.id != *leaving)
            .collect()
    }

    fn check_action(&self, action: &Action) -> Result<(), Rejection> {
        action.check()?;
        let mut groups = action.forwards().iter().map(|one| &one.target_group);
        match groups.find(|group| !self.target_groups.contains_key(*group)) {
            Some(missing) => Err(group_not_found(missing)),
            None => Ok(()),
        }
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
                            "service {} gets its requests for target group '{group}' only through this; delete the service, or forward to '{group}' from elsewhere first",
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
        let rules = self.rules.iter().map(|(_, rule)| &rule.action);
        let mut forwards = rules.chain([&self.default]).flat_map(Action::forwards);
        forwards.any(|one| one.target_group == *group)
    }
}
