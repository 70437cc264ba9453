//! Repeated measurements of one thing, and how they are printed.

use std::time::Duration;

/// Durations, the shortest first.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.extend(vec![sample]);
    }

    pub(crate) fn extend(&mut self, samples: Vec<Duration>) {
        self.0.extend(samples);
        self.0.sort_unstable();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns what `part` of the samples do not exceed; zero when there are none.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let rank = (0..=last).find(|rank| *rank as f64 >= last as f64 * part);
        rank.and_then(|rank| self.0.get(rank))
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// Returns `| name | median ms | least to most |` with a last column for the ratio to `base`.
    pub(crate) fn row(&self, name: &str, base: &Self) -> String {
        format!(
            "| {name} | {:.1} | {:.1} to {:.1} | {:.2} |",
            millis(self.median()),
            millis(self.quantile(0.0)),
            millis(self.quantile(1.0)),
            self.median().as_secs_f64() / base.median().as_secs_f64(),
        )
    }
}

pub(crate) fn heading(what: &str, base: &str) {
    println!("\n| {what} | median ms | least to most | times {base} |\n|---|---|---|---|");
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let mut samples = Samples::default();
        assert_eq!(samples.median(), Duration::ZERO);
        for millis in [5, 1, 3] {
            samples.push(Duration::from_millis(millis));
        }
        assert_eq!(samples.median(), Duration::from_millis(3));
        assert_eq!(samples.quantile(1.0), Duration::from_millis(5));
    }
}
