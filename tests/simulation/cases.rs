//! The tests: two hundred seeds, the same seed twice, and a planted bug for each invariant.

mod bugs;

use std::ops::RangeInclusive;

use crate::plan::Plan;
use crate::run::{Outcome, run};
use crate::world::Violation;

/// As much of a trace as a person reads.
const LAST_LINES: usize = 60;

/// Runs seeds, unless the environment names others; all of them, also when one fails.
fn runs(seeds: RangeInclusive<u64>) {
    if named().is_none() {
        judge(seeds, false);
    }
}

/// Returns the seeds that the environment names: `17`, or `201-1000`.
fn named() -> Option<RangeInclusive<u64>> {
    let text = std::env::var("ROADSTEAD_SEED").ok()?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let number = |text: &str| {
        text.parse()
            .expect("ROADSTEAD_SEED is a number, or a range of two")
    };
    Some(number(first)..=number(last))
}

fn judge(seeds: RangeInclusive<u64>, whole: bool) {
    let mut failures = Vec::new();
    for seed in seeds {
        let outcome = run(seed, Plan::of(seed));
        if whole {
            println!("{}", outcome.trace.join("\n"));
        }
        println!("{}", outcome.summary());
        if outcome.violation.is_some() {
            failures.push(outcome);
        }
    }
    if let Some(first) = failures.first() {
        let others: Vec<u64> = failures[1..].iter().map(|one| one.seed).collect();
        panic!("{}\nother seeds that failed: {others:?}", first.story());
    }
}

impl Outcome {
    fn summary(&self) -> String {
        let Self { seed, requests, .. } = self;
        match &self.violation {
            Some(Violation { invariant, text }) => {
                format!("seed {seed} violated {invariant:?}: {text}")
            }
            None => format!(
                "seed {seed}: {requests} requests served, {} lines of trace, at rest {:?} after the last fault",
                self.trace.len(),
                self.rested_after.unwrap_or_default()
            ),
        }
    }

    fn story(&self) -> String {
        let first = self.trace.len().saturating_sub(LAST_LINES);
        format!(
            "{}\n\n{}\nto repeat it: ROADSTEAD_SEED={} cargo nextest run -p roadstead-tests -E \
             'binary(simulation)' --no-capture",
            self.trace[first..].join("\n"),
            self.summary(),
            self.seed
        )
    }
}

#[test]
fn seeds_001_to_025() {
    runs(1..=25);
}

#[test]
fn seeds_026_to_050() {
    runs(26..=50);
}

#[test]
fn seeds_051_to_075() {
    runs(51..=75);
}

#[test]
fn seeds_076_to_100() {
    runs(76..=100);
}

#[test]
fn seeds_101_to_125() {
    runs(101..=125);
}

#[test]
fn seeds_126_to_150() {
    runs(126..=150);
}

#[test]
fn seeds_151_to_175() {
    runs(151..=175);
}

#[test]
fn seeds_176_to_200() {
    runs(176..=200);
}

#[test]
fn seeds_that_the_environment_names() {
    if let Some(seeds) = named() {
        let one = seeds.start() == seeds.end();
        judge(seeds, one);
    }
}

#[test]
fn a_seed_repeats_its_run_line_by_line() {
    for seed in [2, 3, 4, 5] {
        let (once, again) = (run(seed, Plan::of(seed)), run(seed, Plan::of(seed)));
        let differs = once
            .trace
            .iter()
            .zip(&again.trace)
            .position(|(one, other)| one != other);
        let at = differs.map(|line| (&once.trace[line], &again.trace[line]));
        assert_eq!(at, None, "seed {seed} went two ways");
        assert_eq!(once.digest, again.digest);
    }
}
