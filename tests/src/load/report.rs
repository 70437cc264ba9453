//! What a load came to: the counts while it runs, and the report that is read from them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use crate::http::{Answer, Failure};

/// How many failures are kept word for word; all are counted.
const KEPT_FAILURES: usize = 20;
/// How many different first words of answers are told apart.
const KEPT_ANSWERS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Counts {
    ok: u64,
    failed: u64,
    reconnects: u64,
    kinds: BTreeMap<String, u64>,
    first_failures: Vec<FailureAt>,
    answers: BTreeMap<String, u64>,
    latency: Histogram,
}

impl Counts {
    pub(super) fn succeeded(&mut self, answer: &Answer, latency: Duration) {
        self.ok += 1;
        self.latency.record(latency);
        let text = answer.text();
        let word = text.split_whitespace().next().unwrap_or("").to_owned();
        if self.answers.contains_key(&word) || self.answers.len() < KEPT_ANSWERS {
            *self.answers.entry(word).or_default() += 1;
        }
    }

    pub(super) fn failed(&mut self, failure: &Failure, at: Duration) {
        self.failed += 1;
        *self.kinds.entry(failure.kind()).or_default() += 1;
        if self.first_failures.len() < KEPT_FAILURES {
            self.first_failures.push(FailureAt {
                at_ms: millis(at),
                what: chain(failure),
            });
        }
    }

    pub(super) fn reconnected(&mut self) {
        self.reconnects += 1;
    }

    pub(super) fn report(&self, duration: Duration) -> Report {
        let latency = |part| self.latency.quantile(part).as_secs_f64() * 1000.0;
        Report {
            requests: self.ok + self.failed,
            ok: self.ok,
            failed: self.failed,
            failures: self.kinds.clone(),
            first_failures: self.first_failures.clone(),
            reconnects: self.reconnects,
            answers: self.answers.clone(),
            duration_ms: millis(duration),
            latency_ms: Latency {
                p50: latency(0.5),
                p90: latency(0.9),
                p99: latency(0.99),
                max: self.latency.most().as_secs_f64() * 1000.0,
            },
        }
    }
}

/// The counts of a load at one moment; final when the load has stopped.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub requests: u64,
    pub ok: u64,
    pub failed: u64,
    /// How many failed in which way: "connect", "reset", "timeout", "body", "status 503".
    pub failures: BTreeMap<String, u64>,
    /// The first of them in full.
    pub first_failures: Vec<FailureAt>,
    /// Connections that the server had closed before the next request was sent; those requests went on new ones.
    pub reconnects: u64,
    /// How many answers began with which word; the sample service's is its version.
    pub answers: BTreeMap<String, u64>,
    pub duration_ms: u64,
    /// From the moment at which a request was due, so a stalled server cannot hide behind a waiting client.
    pub latency_ms: Latency,
}

/// One failure and when it was noticed, since the load began.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureAt {
    pub at_ms: u64,
    pub what: String,
}

/// Percentiles of the answered requests, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Duration::from_millis(self.duration_ms).as_secs_f64();
        let Latency { p50, p90, p99, max } = self.latency_ms;
        writeln!(
            out,
            "{} requests in {seconds:.1} s: {} ok, {} failed",
            self.requests, self.ok, self.failed
        )?;
        writeln!(
            out,
            "latency in ms: p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, most {max:.1}"
        )?;
        for (word, count) in &self.answers {
            writeln!(out, "answered by {word}: {count}")?;
        }
        for (kind, count) in &self.failures {
            writeln!(out, "failed by {kind}: {count}")?;
        }
        for failure in &self.first_failures {
            writeln!(out, "  after {} ms: {}", failure.at_ms, failure.what)?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn chain(failure: &Failure) -> String {
    let first: &(dyn Error + 'static) = failure;
    let causes = std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| {
        (*error).source()
    });
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
