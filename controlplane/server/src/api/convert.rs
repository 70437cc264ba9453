//! Between the wire's types and the core's. Nothing else knows both.

pub(crate) mod action;
pub(crate) mod attribute;
pub(crate) mod certificate;
mod condition;
pub(crate) mod container_instance;
pub(crate) mod listener;
pub(crate) mod listener_attribute;
pub(crate) mod name;
pub(crate) mod number;
pub(crate) mod protocol;
pub(crate) mod service;
mod setting;
pub(crate) mod target_group;
pub(crate) mod task;
pub(crate) mod task_definition;

use roadstead_core::{Rejection, Timestamp};

/// Returns seconds since the epoch, with a fraction, as AWS's JSON has them.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since the epoch fit a double exactly"
)]
pub(crate) fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1000.0
}

/// Returns a count for the wire; more than it holds reads as the most.
pub(crate) fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// Returns what has that name.
pub(crate) fn named<T, const KNOWN: usize>(
    field: &str,
    known: [(&str, T); KNOWN],
    name: &str,
) -> Result<T, Rejection> {
    let names = known.each_ref().map(|(name, _)| *name).join(", ");
    let mut known = known.into_iter();
    let found = known.find_map(|(known, one)| (known == name).then_some(one));
    found.ok_or_else(|| {
        Rejection::validation(format!("{field} must be one of {names}, not '{name}'"))
    })
}
