//! How much the targets of a group take at once, and what waits for them.

use serde::{Deserialize, Serialize};

use crate::Rejection;

const MOST: u32 = 1_000_000;
/// A client has long given up by then.
const LONGEST_WAIT: u32 = 300;

/// How much the targets of a group take at once, and what waits for them, on each load balancer process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests that each target gets at once; 0: any number.
    pub requests_per_target: u32,
    /// Requests that wait for a target at once.
    pub waiting: u32,
    /// Seconds that a request waits for a target; 0: it does not.
    pub waiting_seconds: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            requests_per_target: 0,
            waiting: 1000,
            waiting_seconds: 0,
        }
    }
}

impl Capacity {
    pub(super) fn check(&self) -> Result<(), Rejection> {
        for (what, value, most) in [
            ("requests_per_target", self.requests_per_target, MOST),
            ("waiting", self.waiting, MOST),
            ("waiting_seconds", self.waiting_seconds, LONGEST_WAIT),
        ] {
            if value > most {
                return Err(Rejection::validation(format!(
                    "roadstead.capacity.{what} must be at most {most}, not {value}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_bounded() {
        assert_eq!(Capacity::default().check(), Ok(()));
        let long = Capacity {
            waiting_seconds: LONGEST_WAIT + 1,
            ..Capacity::default()
        };
        let message = long.check().unwrap_err().message;
        assert!(
            message.contains("waiting_seconds must be at most 300"),
            "{message}"
        );
    }
}
