//! Puts the instances that fit in order. Each strategy only breaks the ties of the one before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BinpackField, SpreadField, Strategy};
use crate::id::ContainerInstanceId;
use crate::resources::Resources;
use crate::state::container_instance::ContainerInstance;

/// Returns the best of `fits`, or `None` when there is none. `members` are all instances of the cluster:
/// the tasks on a full one count too.
///
/// Among equals the emptiest wins, and then the lowest id, so that the same snapshot gives the same
/// choice.
pub(super) fn best<'a>(
    fits: &[&'a Arc<ContainerInstance>],
    members: &[&'a Arc<ContainerInstance>],
    strategy: &[Strategy],
    counts: &BTreeMap<ContainerInstanceId, usize>,
    taken: &BTreeMap<ContainerInstanceId, Resources>,
) -> Option<&'a Arc<ContainerInstance>> {
    let reserved = |one: &'a Arc<ContainerInstance>| taken.get(&one.id).unwrap_or(&one.reserved);
    let count = |one: &ContainerInstance| counts.get(&one.id).copied().unwrap_or(0);
    let per_value: Vec<BTreeMap<&str, usize>> = strategy
        .iter()
        .map(|one| match one {
            Strategy::Spread(SpreadField::Attribute(name)) => {
                count_by_attribute(members, name, &count)
            }
            Strategy::Spread(SpreadField::Instance) | Strategy::Binpack(_) => BTreeMap::new(),
        })
        .collect();
    fits.iter().copied().min_by_key(|one| {
        let keys: Vec<usize> = strategy
            .iter()
            .zip(&per_value)
            .map(|(strategy, values)| match strategy {
                Strategy::Spread(SpreadField::Instance) => count(one),
                Strategy::Spread(SpreadField::Attribute(name)) => one
                    .attribute(name)
                    .and_then(|value| values.get(value))
                    .copied()
                    .unwrap_or(0),
                Strategy::Binpack(BinpackField::Cpu) => {
                    left(one.registered.cpu_units, reserved(one).cpu_units)
                }
                Strategy::Binpack(BinpackField::Memory) => {
                    left(one.registered.memory_mib, reserved(one).memory_mib)
                }
            })
            .collect();
        (keys, reserved(one).memory_mib, one.id.clone())
    })
}

fn left(registered: u32, reserved: u32) -> usize {
    registered.saturating_sub(reserved) as usize
}

fn count_by_attribute<'a>(
    members: &[&'a Arc<ContainerInstance>],
    name: &str,
    count: &impl Fn(&ContainerInstance) -> usize,
) -> BTreeMap<&'a str, usize> {
    let mut values = BTreeMap::new();
    for one in members {
        if let Some(value) = one.attribute(name) {
            *values.entry(value).or_default() += count(one);
        }
    }
    values
}
