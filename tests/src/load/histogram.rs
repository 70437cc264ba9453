//! Latencies in bounded memory: each doubling of the value is split into 128 steps, so an answer is at most 1 % off.

use std::time::Duration;

const STEPS: u64 = 128;
/// Enough doublings of 128 microseconds for days.
const BUCKETS: usize = 38 * 128;

/// Counts durations by size.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    most: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            most: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.most = self.most.max(value);
    }

    /// Returns the duration that `part` of all (0.99 for the 99th percentile) do not exceed; zero when there are none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = (self.count as f64 * part).ceil().max(1.0);
        let mut below = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            below += count;
            if below as f64 >= rank {
                return Duration::from_micros(upper_bound(index)).min(self.most);
            }
        }
        Duration::ZERO
    }

    /// Returns the largest duration.
    #[must_use]
    pub fn most(&self) -> Duration {
        self.most
    }
}

/// Values below `STEPS` have a bucket each; above, a bucket is named by the highest bit and the seven below it.
fn bucket(micros: u64) -> usize {
    let shift = u64::from(micros.max(1).ilog2()).saturating_sub(STEPS.ilog2().into());
    let index = shift * STEPS + (micros >> shift);
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / STEPS).saturating_sub(1);
    ((index - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_one_percent() {
        for micros in (0..5_000).chain([99_999, 1_000_000, 61_234_567]) {
            let upper = upper_bound(bucket(micros));
            assert!(upper >= micros, "{micros}");
            assert!(upper - micros <= micros / 127, "{micros} reads as {upper}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut latencies = Histogram::default();
        assert_eq!(latencies.quantile(0.99), Duration::ZERO);
        for millis in 1..=100 {
            latencies.record(Duration::from_millis(millis));
        }
        let near = |part: f64, millis: u64| {
            let seen = latencies.quantile(part).as_secs_f64() * 1000.0;
            assert!((seen / millis as f64 - 1.0).abs() < 0.01, "{part}: {seen}");
        };
        near(0.5, 50);
        near(0.99, 99);
        assert_eq!(latencies.quantile(1.0), Duration::from_millis(100));
    }
}
