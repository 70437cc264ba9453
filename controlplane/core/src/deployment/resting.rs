//! Which services need no look: nothing has happened to them since the last one, and they wait for nothing.

use std::collections::{BTreeMap, BTreeSet};

use imbl::ordmap::DiffItem;

use super::Rest;
use crate::id::ServiceId;
use crate::state::container_instance::ContainerInstance;
use crate::{ClusterState, Timestamp};

/// The services that rest, from pass to pass.
#[derive(Debug, Default)]
pub struct Resting {
    seen: ClusterState,
    /// Until when; `None` is until something happens.
    services: BTreeMap<ServiceId, Option<Timestamp>>,
}

impl Resting {
    /// Begins a pass: wakes those whose time has come, and those that something has happened to.
    pub fn wake(&mut self, state: &ClusterState, now: Timestamp) {
        match Changed::between(&self.seen, state) {
            Changed::Everything => self.wake_all(),
            Changed::Services(changed) => self.services.retain(|service, until| {
                !changed.contains(service) && until.is_none_or(|until| now < until)
            }),
        }
        self.seen = state.clone();
    }

    /// Wakes all.
    pub fn wake_all(&mut self) {
        self.services.clear();
    }

    /// Says whether a service needs no look in this pass.
    #[must_use]
    pub fn contains(&self, service: &ServiceId) -> bool {
        self.services.contains_key(service)
    }

    /// Notes what a look at a service has found.
    pub fn note(&mut self, service: &ServiceId, rest: Rest) {
        let until = match rest {
            Rest::No => return,
            Rest::Until(until) => Some(until),
            Rest::UntilChange => None,
        };
        self.services.insert(service.clone(), until);
    }
}

/// The services that a pass may now decide otherwise for.
#[derive(Debug)]
enum Changed {
    Everything,
    Services(BTreeSet<ServiceId>),
}

impl Changed {
    /// Compares two snapshots; what they share is not looked at.
    fn between(before: &ClusterState, after: &ClusterState) -> Self {
        let instances = before.container_instances.diff(&after.container_instances);
        let takes_tasks = |one: &ContainerInstance| (one.status, one.agent_connected);
        for item in instances {
            match item {
                DiffItem::Update {
                    old: (_, old),
                    new: (_, new),
                } if takes_tasks(old) == takes_tasks(new) => {}
                DiffItem::Update { .. } | DiffItem::Add(..) | DiffItem::Remove(..) => {
                    return Self::Everything;
                }
            }
        }
        let mut services = BTreeSet::new();
        for item in before.services.diff(&after.services) {
            let (DiffItem::Add(id, _)
            | DiffItem::Update { new: (id, _), .. }
            | DiffItem::Remove(id, _)) = item;
            services.insert(id.clone());
        }
        for item in before.tasks.diff(&after.tasks) {
            let (DiffItem::Add(_, task)
            | DiffItem::Update { new: (_, task), .. }
            | DiffItem::Remove(_, task)) = item;
            services.extend(task.service_id());
        }
        Self::Services(services)
    }
}
