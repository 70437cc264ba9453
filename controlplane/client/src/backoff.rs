//! Spaces retries: doubling with full jitter, so that clients of a restarted server do not come as one.

use std::time::Duration;

/// The pauses between the attempts of one caller.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Returns pauses that begin at `first` and grow to at most `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// Returns how long to wait now: between half of the current pause and all of it.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.most);
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Begins again after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_most_and_begin_again_after_a_reset() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 4);
        for base in [1, 2, 4, 4] {
            let pause = backoff.pause();
            assert!(
                pause >= second * base / 2 && pause <= second * base,
                "{pause:?} for base {base}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= second);
    }
}
