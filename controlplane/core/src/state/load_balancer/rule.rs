//! Rules: which requests of a listener are treated in another way than the rest.

use serde::{Deserialize, Serialize};

use super::Listener;
use super::action::{self, Action};
use super::condition::{self, Condition};
use crate::id::{ListenerRef, RuleId};
use crate::state::ClusterState;
use crate::{Event, Exception, Rejection};

/// ALB: 100 rules for each load balancer besides the default ones; here for each listener.
const MOST_RULES: usize = 100;

/// Which requests, and what happens to them: every condition must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRule")]
pub struct Rule {
    /// 1 to 50000; the lowest is tried first.
    pub priority: u32,
    pub conditions: Vec<Condition>,
    pub action: Action,
}

/// A rule as it may be on disk: at first there were hosts and paths, and forwarding.
#[derive(Deserialize)]
struct StoredRule {
    priority: u32,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(alias = "forward", deserialize_with = "action::stored")]
    action: Action,
}

impl From<StoredRule> for Rule {
    fn from(stored: StoredRule) -> Self {
        let mut conditions = stored.conditions;
        if !stored.hosts.is_empty() {
            conditions.push(Condition::HostHeader(stored.hosts));
        }
        if !stored.paths.is_empty() {
            conditions.push(Condition::PathPattern(stored.paths));
        }
        Self {
            priority: stored.priority,
            conditions,
            action: stored.action,
        }
    }
}

impl ClusterState {
    pub(in crate::state) fn create_rule(
        &mut self,
        listener: &ListenerRef,
        id: RuleId,
        rule: Rule,
    ) -> Result<Vec<Event>, Rejection> {
        check_priority(rule.priority)?;
        condition::check(&rule.conditions)?;
        self.check_action(&rule.action)?;
        let known = self.listener(listener)?;
        if known.rules.len() >= MOST_RULES {
            return Err(Rejection::new(
                Exception::TooManyRules,
                format!(
                    "listener '{}' has {MOST_RULES} rules, which is the most",
                    listener.listener
                ),
            ));
        }
        let mut changed = known.as_ref().clone();
        changed.rules.push((id, rule));
        self.replace_listener(changed)
    }

    /// Changes what is given, and keeps the rest.
    pub(in crate::state) fn modify_rule(
        &mut self,
        listener: &ListenerRef,
        id: &RuleId,
        conditions: Option<Vec<Condition>>,
        action: Option<Action>,
    ) -> Result<Vec<Event>, Rejection> {
        let known = self.listeners.get(listener);
        let mut changed = known.ok_or_else(|| rule_not_found(id))?.as_ref().clone();
        let rule = changed.rule_mut(id)?;
        if let Some(conditions) = conditions {
            condition::check(&conditions)?;
            rule.conditions = conditions;
        }
        if let Some(action) = action {
            self.check_action(&action)?;
            rule.action = action;
        }
        self.replace_listener(changed)
    }

    /// Gives rules other priorities, all at once, so that two may change places.
    pub(in crate::state) fn set_rule_priorities(
        &mut self,
        priorities: &[(ListenerRef, RuleId, u32)],
    ) -> Result<Vec<Event>, Rejection> {
        let Some((listener, ..)) = priorities.first() else {
            return Err(Rejection::validation("rulePriorities must name a rule"));
        };
        if priorities.iter().any(|(other, ..)| other != listener) {
            return Err(Rejection::validation(
                "rulePriorities must be of rules of one listener",
            ));
        }
        let mut changed = self.listener(listener)?.as_ref().clone();
        for (_, id, priority) in priorities {
            check_priority(*priority)?;
            changed.rule_mut(id)?.priority = *priority;
        }
        self.replace_listener(changed)
    }

    pub(in crate::state) fn delete_rule(
        &mut self,
        listener: &ListenerRef,
        id: &RuleId,
    ) -> Result<Vec<Event>, Rejection> {
        let known = self.listeners.get(listener);
        let mut changed = known.ok_or_else(|| rule_not_found(id))?.as_ref().clone();
        changed.rule_mut(id)?;
        changed.rules.retain(|(one, _)| one != id);
        self.replace_listener(changed)
    }
}

impl Listener {
    fn rule_mut(&mut self, id: &RuleId) -> Result<&mut Rule, Rejection> {
        let found = self.rules.iter_mut().find(|(one, _)| one == id);
        found
            .map(|(_, rule)| rule)
            .ok_or_else(|| rule_not_found(id))
    }

    /// Brings the rules into the order in which they are tried, which two of one priority have not.
    pub(super) fn sort_rules(&mut self) -> Result<(), Rejection> {
        self.rules.sort_by_key(|(_, rule)| rule.priority);
        let priorities = self.rules.iter().map(|(_, rule)| rule.priority);
        let mut neighbours = priorities.clone().zip(priorities.skip(1));
        match neighbours.find(|(one, next)| one == next) {
            Some((priority, _)) => Err(priority_in_use(priority)),
            None => Ok(()),
        }
    }
}

fn check_priority(priority: u32) -> Result<(), Rejection> {
    if (1..=50_000).contains(&priority) {
        return Ok(());
    }
    Err(Rejection::validation("priority must be 1 to 50000"))
}

fn rule_not_found(id: &RuleId) -> Rejection {
    Rejection::new(Exception::RuleNotFound, format!("Rule '{id}' not found"))
}

fn priority_in_use(priority: u32) -> Rejection {
    Rejection::new(
        Exception::PriorityInUse,
        format!("Priority '{priority}' is currently in use"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Forward, ListenerProtocol};
    use super::*;
    use crate::id::{ListenerId, LoadBalancerName, TargetGroupName};
    use crate::state::target_group::{
        Algorithm, Capacity, HealthCheckProtocol, ProtocolVersion, ProxyProtocol, Stickiness,
        TargetGroupSpec, TargetHealthCheck, TargetProtocol,
    };
    use crate::{Command, Exception, Timestamp};

    fn listener() -> ListenerRef {
        ListenerRef {
            load_balancer: LoadBalancerName::new("main"),
            listener: ListenerId::new("l"),
        }
    }

    fn rule(priority: u32) -> Rule {
        Rule {
            priority,
            conditions: vec![Condition::PathPattern(vec!["/a".into()])],
            action: Action::forward_to(TargetGroupName::new("web")),
        }
    }

    fn state() -> ClusterState {
        let mut state = ClusterState::default();
        let name = TargetGroupName::new("web");
        let default = Action::forward_to(name.clone());
        let health_check = TargetHealthCheck {
            protocol: HealthCheckProtocol::Http,
            path: "/".into(),
            interval: 5,
            timeout: 2,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: vec![(200, 200)],
        };
        let spec = TargetGroupSpec {
            protocol: TargetProtocol::Http,
            proxy_protocol: ProxyProtocol::Off,
            protocol_version: ProtocolVersion::Http1,
            health_check,
            deregistration_delay: 30,
            algorithm: Algorithm::RoundRobin,
            slow_start: 0,
            stickiness: Stickiness::default(),
            capacity: Capacity::default(),
            prefers_own_zone: false,
        };
        let (load_balancer, at) = (listener().load_balancer, Timestamp(0));
        for command in [
            Command::CreateTargetGroup { name, spec },
            Command::CreateLoadBalancer {
                name: load_balancer,
                at,
            },
            Command::CreateListener {
                id: listener(),
                port: 80,
                protocol: ListenerProtocol::Http,
                attributes: Vec::new(),
                default,
            },
        ] {
            state.apply(command).unwrap();
        }
        for priority in [1, 2] {
            let id = RuleId::new(format!("r{priority}"));
            state.create_rule(&listener(), id, rule(priority)).unwrap();
        }
        state
    }

    fn order(state: &ClusterState) -> Vec<String> {
        let listener = state.listener(&listener()).unwrap();
        let ids = listener.rules.iter();
        ids.map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn a_listener_of_tcp_takes_no_group_of_http_and_no_rule_that_needs_a_request() {
        let mut state = state();
        let web = state.target_groups[&TargetGroupName::new("web")]
            .as_ref()
            .clone();
        let plain = TargetGroupName::new("plain");
        let mut spec = web.spec;
        spec.protocol = TargetProtocol::Tcp;
        state.create_target_group(plain.clone(), spec).unwrap();
        let id = ListenerRef {
            listener: ListenerId::new("tcp"),
            ..listener()
        };
        let create = |state: &mut ClusterState, group: &str| {
            let default = Action::forward_to(TargetGroupName::new(group));
            let protocol = ListenerProtocol::Tcp;
            state.create_listener(id.clone(), 22, protocol, Vec::new(), default)
        };
        let message = create(&mut state, "web").unwrap_err().message;
        assert!(message.contains("'web' does not go"), "{message}");
        create(&mut state, "plain").unwrap();
        let mut add = |condition| {
            let rule = Rule {
                priority: 1,
                conditions: vec![condition],
                action: Action::forward_to(plain.clone()),
            };
            state.create_rule(&id, RuleId::new("r"), rule)
        };
        let by_path = add(Condition::PathPattern(vec!["/a".into()]));
        let message = by_path.unwrap_err().message;
        assert!(message.contains("path-pattern"), "{message}");
        assert!(add(Condition::HostHeader(vec!["a.example".into()])).is_ok());
    }

    #[test]
    fn a_change_of_a_target_group_that_was_decided_on_an_older_one_does_nothing() {
        let mut state = state();
        let name = TargetGroupName::new("web");
        let known = state.target_groups[&name].spec.clone();
        let changed = |delay| TargetGroupSpec {
            deregistration_delay: delay,
            ..known.clone()
        };
        state
            .modify_target_group(&name, changed(1), Some(&known))
            .unwrap();
        let late = state.modify_target_group(&name, changed(2), Some(&known));
        assert_eq!(late.unwrap_err().exception, Exception::Stale);
        assert_eq!(state.target_groups[&name].spec, changed(1));
    }

    #[test]
    fn two_rules_change_places_in_one_step() {
        let mut state = state();
        let set = |first, second| {
            vec![
                (listener(), RuleId::new("r1"), first),
                (listener(), RuleId::new("r2"), second),
            ]
        };
        state.set_rule_priorities(&set(2, 1)).unwrap();
        assert_eq!(order(&state), ["r2", "r1"]);
        let refused = state.set_rule_priorities(&set(7, 7)).unwrap_err();
        assert_eq!(refused.exception, Exception::PriorityInUse);
        assert_eq!(order(&state), ["r2", "r1"]);
    }

    #[test]
    fn a_rule_keeps_what_is_not_modified() {
        let mut state = state();
        let id = RuleId::new("r1");
        let hosts = vec![Condition::HostHeader(vec!["a.example".into()])];
        let modified = state.modify_rule(&listener(), &id, Some(hosts.clone()), None);
        modified.unwrap();
        let known = &state.listener(&listener()).unwrap().rules[0].1;
        assert_eq!(
            (&known.conditions, &known.action),
            (&hosts, &rule(1).action)
        );
        let nowhere = Action::forward_to(TargetGroupName::new("nowhere"));
        let refused = state.modify_rule(&listener(), &id, None, Some(nowhere));
        assert_eq!(
            refused.unwrap_err().exception,
            Exception::TargetGroupNotFound
        );
    }

    #[test]
    fn a_rule_that_was_stored_with_hosts_and_paths_still_loads() {
        #[derive(Serialize)]
        struct Before {
            priority: u32,
            hosts: Vec<String>,
            paths: Vec<String>,
            forward: Vec<Forward>,
        }
        let before = Before {
            priority: 1,
            hosts: vec![],
            paths: vec!["/a".into()],
            forward: rule(1).action.forwards().to_vec(),
        };
        let read: Rule = rmp_serde::from_slice(&rmp_serde::to_vec_named(&before).unwrap()).unwrap();
        assert_eq!(read, rule(1));
        let again: Rule = rmp_serde::from_slice(&rmp_serde::to_vec_named(&read).unwrap()).unwrap();
        assert_eq!(again, rule(1));
    }
}
