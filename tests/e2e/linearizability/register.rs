//! A register, and what clients saw of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use todc_utils::{Action, History, Specification, WGLChecker};

pub(crate) type Value = u32;

/// An operation, with what a read returned once it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read(Option<Value>),
    Write(Value),
}

/// A register holds what was written last.
struct Register;

impl Specification for Register {
    type State = Value;
    type Operation = Operation;

    fn init() -> Value {
        0
    }

    fn apply(operation: &Operation, state: &Value) -> (bool, Value) {
        match operation {
            Operation::Read(returned) => (*returned == Some(*state), *state),
            Operation::Write(value) => (true, *value),
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Operation),
    /// It has certainly done nothing.
    Nothing,
    /// It may have been done, or may still be.
    Unknown,
}

/// When a value was there, by Gibbons and Korach, Testing Shared Memories (1997), 4: from the first end to the last beginning of
/// the calls on it, or, where these are in the other order, at some moment between them.
#[derive(Debug)]
struct Zone {
    first_end: usize,
    last_begin: usize,
    /// What became of its write; the value that was there at first has none.
    fate: Option<Outcome>,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            first_end: usize::MAX,
            last_begin: 0,
            fate: None,
        }
    }
}

impl Zone {
    fn include(&mut self, began: usize, ended: usize) {
        self.first_end = self.first_end.min(ended);
        self.last_begin = self.last_begin.max(began);
    }

    fn lasts(&self) -> bool {
        self.first_end < self.last_begin
    }

    /// Whether the other value has no time but while this one, which lasts, is there.
    fn excludes(&self, other: &Self) -> bool {
        self.first_end < other.last_begin && other.first_end < self.last_begin
    }
}

#[derive(Debug)]
struct Call {
    operation: Operation,
    began: usize,
    ended: Option<(usize, Outcome)>,
}

/// Every call on one register, in the order of beginnings and ends.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    events: usize,
}

impl Calls {
    /// Notes that a call begins; returns its number.
    pub(crate) fn begin(&mut self, operation: Operation) -> usize {
        self.events += 1;
        self.calls.push(Call {
            operation,
            began: self.events,
            ended: None,
        });
        self.calls.len() - 1
    }

    /// Notes what became of it.
    pub(crate) fn end(&mut self, call: usize, outcome: Outcome) {
        self.events += 1;
        self.calls[call].ended = Some((self.events, outcome));
    }

    /// Whether reads and writes were both answered, so that there is something to check.
    pub(crate) fn has_both(&self) -> bool {
        let done = self.calls.iter().filter_map(|call| call.ended);
        let mut done = done.filter_map(|(_, outcome)| match outcome {
            Outcome::Done(operation) => Some(matches!(operation, Operation::Write(_))),
            Outcome::Nothing | Outcome::Unknown => None,
        });
        let first = done.next();
        first.is_some() && done.any(|one| Some(one) != first)
    }

    /// Whether one order explains it all.
    pub(crate) fn is_linearizable(&self) -> bool {
        WGLChecker::<Register>::is_linearizable(History::from_actions(self.actions()))
    }

    /// Returns pairs of values that cannot both have been there when they were seen, and refused ones that were read.
    pub(crate) fn contradictions(&self) -> Vec<String> {
        let zones = self.zones();
        let mut found = Vec::new();
        for (value, zone) in &zones {
            if zone.fate == Some(Outcome::Nothing) {
                found.push(format!("{value}, {zone:?}, was refused and read"));
            }
            for (other, within) in zones.iter().filter(|(other, _)| *other != value) {
                // Of two that last each pair is found from both sides.
                let new = !within.lasts() || value < other;
                if new && zone.lasts() && zone.excludes(within) {
                    found.push(format!("{value}, {zone:?}, and {other}, {within:?}"));
                }
            }
        }
        found
    }

    fn zones(&self) -> BTreeMap<Value, Zone> {
        let first = Zone {
            first_end: 0,
            ..Zone::default()
        };
        let mut zones = BTreeMap::from([(Register::init(), first)]);
        let ended = |call: &Call| call.ended.map(|(at, outcome)| (call.began, at, outcome));
        for (began, at, outcome) in self.calls.iter().filter_map(ended) {
            if let Outcome::Done(Operation::Write(value) | Operation::Read(Some(value))) = outcome {
                zones.entry(value).or_default().include(began, at);
            }
        }
        for call in &self.calls {
            if let Operation::Write(value) = call.operation
                && let Some(zone) = zones.get_mut(&value)
            {
                zone.fate = call.ended.map(|(_, outcome)| outcome);
                zone.include(call.began, usize::MAX);
            }
        }
        zones
    }

    fn actions(&self) -> Vec<(usize, Action<Operation>)> {
        let returned: BTreeSet<Value> = self.calls.iter().filter_map(Call::returned).collect();
        let mut actions = Vec::new();
        // Each call as by a process of its own: who does not know what became of one goes on as another.
        for (process, call) in self.calls.iter().enumerate() {
            let (ended, operation) = match call.ended {
                Some((ended, Outcome::Done(operation))) => (ended, operation),
                Some((_, Outcome::Unknown)) | None => match call.operation {
                    // It took effect some time: when, the reads must agree on.
                    Operation::Write(value) if returned.contains(&value) => {
                        (usize::MAX, call.operation)
                    }
                    // Values are written once: what nobody has read explains nothing, and would only double the work.
                    Operation::Write(_) | Operation::Read(_) => continue,
                },
                // Had it been done all the same, a read of its value would have no explanation.
                Some((_, Outcome::Nothing)) => continue,
            };
            actions.push((call.began, process, Action::Call(call.operation)));
            actions.push((ended, process, Action::Response(operation)));
        }
        actions.sort_by_key(|(at, ..)| *at);
        let each = actions.into_iter();
        each.map(|(_, process, action)| (process, action)).collect()
    }
}

impl Call {
    fn returned(&self) -> Option<Value> {
        match self.ended {
            Some((_, Outcome::Done(Operation::Read(value)))) => value,
            _ => None,
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted: fn(&Outcome) -> bool| {
            let ended = self.calls.iter().filter_map(|call| call.ended);
            ended.filter(|(_, outcome)| wanted(outcome)).count()
        };
        write!(
            formatter,
            "{} calls done, {} refused, {} of unknown fate",
            count(|outcome| matches!(outcome, Outcome::Done(_))),
            count(|outcome| *outcome == Outcome::Nothing),
            count(|outcome| *outcome == Outcome::Unknown)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{Read, Write};
    use super::*;

    fn history(steps: &[(Operation, Outcome)]) -> Calls {
        let mut calls = Calls::default();
        for (operation, outcome) in steps {
            let call = calls.begin(*operation);
            calls.end(call, *outcome);
        }
        calls
    }

    fn read(value: Value) -> (Operation, Outcome) {
        (Read(None), Outcome::Done(Read(Some(value))))
    }

    #[test]
    fn a_stale_read_and_a_lost_write_are_found() {
        let written = (Write(1), Outcome::Done(Write(1)));
        assert!(history(&[written, read(1)]).is_linearizable());
        assert!(!history(&[written, read(0)]).is_linearizable());
        let stale = [written, read(1), read(0)];
        assert!(!history(&stale).is_linearizable());
    }

    #[test]
    fn a_contradiction_names_the_values() {
        let written = |value| (Write(value), Outcome::Done(Write(value)));
        let right = [written(1), read(1), written(2), read(2)];
        assert!(history(&right).contradictions().is_empty());
        let twice = [written(1), read(1), written(2), read(2), read(1)];
        assert_eq!(history(&twice).contradictions().len(), 1);
        let refused = [(Write(7), Outcome::Nothing), read(7)];
        assert!(history(&refused).contradictions()[0].ends_with("was refused and read"));
    }

    #[test]
    fn a_write_of_unknown_fate_may_take_effect_once_and_a_refused_one_never() {
        let unknown = (Write(1), Outcome::Unknown);
        assert!(history(&[unknown, read(0)]).is_linearizable());
        assert!(history(&[unknown, read(0), read(1)]).is_linearizable());
        assert!(!history(&[unknown, read(1), read(0)]).is_linearizable());
        assert!(!history(&[(Write(1), Outcome::Nothing), read(1)]).is_linearizable());
    }
}
