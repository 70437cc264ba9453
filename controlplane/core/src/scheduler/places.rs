//! The places for tasks of one kind, one after the other, each counting the ones before it.
//!
//! The instances that fit are looked at once. Those that no attribute tells apart share a heap, because only what was
//! placed on an instance changes its rank among them; what was placed anywhere changes the rank of a whole zone, and
//! there are few zones. So N places on M instances in Z zones cost M + N (Z + log M).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::{BinpackField, Demand, Nowhere, Scratch, SpreadField, Strategy, Unfit, filter};
use crate::id::ContainerInstanceId;
use crate::state::container_instance::ContainerInstance;

/// Smaller is better. The strategies that look at the instance alone, in their order; then the emptiest, then the lowest
/// id, so that the same snapshot gives the same choice.
type Rank<'a> = (Vec<usize>, u32, &'a ContainerInstanceId);

/// Instances that have the same values of all attributes that tasks are spread over.
#[derive(Debug)]
struct Zone<'a> {
    /// For each strategy, the value if it spreads over an attribute.
    values: Vec<Option<&'a str>>,
    fitting: BinaryHeap<Reverse<Rank<'a>>>,
}

/// The places for one demand; see [`Scratch::places`].
#[derive(Debug)]
pub struct Places<'p, 'a> {
    scratch: &'p mut Scratch<'a>,
    demand: &'p Demand<'p>,
    /// Tasks of the same kind on each instance.
    counts: BTreeMap<&'a ContainerInstanceId, usize>,
    /// For each strategy that spreads over an attribute: tasks of the same kind for each of its values.
    per_value: Vec<BTreeMap<&'a str, usize>>,
    zones: Vec<Zone<'a>>,
}

impl<'p, 'a> Places<'p, 'a> {
    pub(super) fn new(scratch: &'p mut Scratch<'a>, demand: &'p Demand<'p>) -> Self {
        let mut places = Self {
            counts: demand.kind.counts(scratch.state, demand.cluster),
            scratch,
            demand,
            per_value: vec![BTreeMap::new(); demand.strategy.len()],
            zones: Vec::new(),
        };
        let mut zones = BTreeMap::new();
        for instance in places.members() {
            let values = places.values(instance);
            // The tasks on a full instance count too.
            places.count(&values, places.on(instance));
            if places.unfit(instance).is_none() {
                let rank = places.rank(instance);
                let fitting: &mut Vec<_> = zones.entry(values).or_default();
                fitting.push(Reverse(rank));
            }
        }
        let zone = |(values, fitting)| Zone {
            values,
            fitting: BinaryHeap::from(fitting),
        };
        places.zones = zones.into_iter().map(zone).collect();
        places
    }

    /// Takes the best place, and the resources there out of the scratch capacity.
    ///
    /// # Errors
    /// Tells for each instance why it does not fit, when none does.
    pub fn take(&mut self) -> Result<ContainerInstanceId, Nowhere> {
        let zones = self.zones.iter().enumerate();
        let heads = zones.filter_map(|(at, zone)| Some((at, zone, &zone.fitting.peek()?.0)));
        let best = heads.min_by_key(|(_, zone, rank)| (self.keys(zone, rank), rank.1, rank.2));
        let Some(zone) = best.map(|(at, ..)| at) else {
            return Err(self.nowhere());
        };
        let chosen = self.zones[zone].fitting.pop();
        let Reverse((.., id)) = chosen.expect("a head was seen");
        let instance = &self.scratch.state.container_instances[id];
        self.scratch.take(instance, &self.demand.needed);
        *self.counts.entry(id).or_default() += 1;
        self.count(&self.zones[zone].values.clone(), 1);
        if self.unfit(instance).is_none() {
            let rank = self.rank(instance);
            self.zones[zone].fitting.push(Reverse(rank));
        }
        Ok(id.clone())
    }

    fn members(&self) -> impl Iterator<Item = &'a Arc<ContainerInstance>> + use<'a> {
        let cluster = self.demand.cluster.clone();
        let instances = self.scratch.state.container_instances.values();
        instances.filter(move |one| one.cluster == cluster)
    }

    fn unfit(&self, instance: &ContainerInstance) -> Option<Unfit> {
        filter::unfit(
            instance,
            self.scratch.reserved(instance),
            &self.demand.needed,
        )
    }

    fn nowhere(&self) -> Nowhere {
        let reasons = self.members().filter_map(|one| {
            // A deregistered one is as good as absent.
            let reason = self
                .unfit(one)
                .filter(|reason| *reason != Unfit::Inactive)?;
            Some((one.id.clone(), reason))
        });
        Nowhere(reasons.collect())
    }

    fn on(&self, instance: &ContainerInstance) -> usize {
        self.counts.get(&instance.id).copied().unwrap_or(0)
    }

    fn values(&self, instance: &'a ContainerInstance) -> Vec<Option<&'a str>> {
        let value = |strategy: &Strategy| match strategy {
            Strategy::Spread(SpreadField::Attribute(name)) => instance.attribute(name),
            Strategy::Spread(SpreadField::Instance) | Strategy::Binpack(_) => None,
        };
        self.demand.strategy.iter().map(value).collect()
    }

    fn count(&mut self, values: &[Option<&'a str>], more: usize) {
        for (value, counted) in values.iter().zip(&mut self.per_value) {
            if let Some(value) = value {
                *counted.entry(value).or_default() += more;
            }
        }
    }

    fn rank(&self, instance: &'a ContainerInstance) -> Rank<'a> {
        let reserved = self.scratch.reserved(instance);
        let left = |registered: u32, reserved: u32| registered.saturating_sub(reserved) as usize;
        let key = |strategy: &Strategy| match strategy {
            Strategy::Spread(SpreadField::Instance) => Some(self.on(instance)),
            Strategy::Spread(SpreadField::Attribute(_)) => None,
            Strategy::Binpack(BinpackField::Cpu) => {
                Some(left(instance.registered.cpu_units, reserved.cpu_units))
            }
            Strategy::Binpack(BinpackField::Memory) => {
                Some(left(instance.registered.memory_mib, reserved.memory_mib))
            }
        };
        let keys = self.demand.strategy.iter().filter_map(key).collect();
        (keys, reserved.memory_mib, &instance.id)
    }

    /// Returns the keys of all strategies in their order, those of the zone's attributes between the instance's own.
    fn keys(&self, zone: &Zone<'_>, rank: &Rank<'_>) -> Vec<usize> {
        let mut own = rank.0.iter().copied();
        let strategies = self.demand.strategy.iter().enumerate();
        let keys = strategies.map(|(at, strategy)| match strategy {
            Strategy::Spread(SpreadField::Attribute(_)) => zone.values[at]
                .and_then(|value| self.per_value[at].get(value).copied())
                .unwrap_or(0),
            Strategy::Spread(SpreadField::Instance) | Strategy::Binpack(_) => {
                own.next().unwrap_or(0)
            }
        });
        keys.collect()
    }
}
