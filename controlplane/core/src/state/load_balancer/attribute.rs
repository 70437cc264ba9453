//! What a listener lets through: who may connect, and how many requests each client may make.

use serde::{Deserialize, Serialize};

use super::condition::is_range;
use crate::Rejection;

const MOST_REQUESTS_PER_SECOND: u32 = 1_000_000;
const MOST_RANGES: usize = 100;

/// The settings of a listener that ELB does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerAttributes {
    /// Of each client address; 0: any number.
    pub requests_per_second: u32,
    /// So many requests may come at once; 0: those of a second.
    pub burst: u32,
    /// In CIDR form: who may connect; empty: everybody.
    pub allowed_sources: Vec<String>,
    /// In CIDR form: who may not, even if allowed.
    pub denied_sources: Vec<String>,
    /// Connections begin with a header of the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// One of them, with its new value. A change names only what it changes, so that two at once do not undo each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerAttribute {
    RequestsPerSecond(u32),
    Burst(u32),
    AllowedSources(Vec<String>),
    DeniedSources(Vec<String>),
    ProxyProtocol(bool),
}

impl ListenerAttributes {
    /// Returns the settings after some changes.
    ///
    /// # Errors
    /// Names the first value that no listener may have.
    pub fn changed(mut self, changes: Vec<ListenerAttribute>) -> Result<Self, Rejection> {
        for change in changes {
            match change {
                ListenerAttribute::RequestsPerSecond(number) => self.requests_per_second = number,
                ListenerAttribute::Burst(number) => self.burst = number,
                ListenerAttribute::AllowedSources(ranges) => self.allowed_sources = ranges,
                ListenerAttribute::DeniedSources(ranges) => self.denied_sources = ranges,
                ListenerAttribute::ProxyProtocol(on) => self.proxy_protocol = on,
            }
        }
        for (what, number) in [
            ("requests_per_second", self.requests_per_second),
            ("burst", self.burst),
        ] {
            if number > MOST_REQUESTS_PER_SECOND {
                return Err(Rejection::validation(format!(
                    "{what} must be at most {MOST_REQUESTS_PER_SECOND}, not {number}"
                )));
            }
        }
        if self.burst > 0 && self.requests_per_second == 0 {
            return Err(Rejection::validation(
                "a burst goes with requests_per_second, which is 0; set the burst to 0 too",
            ));
        }
        check_ranges("allowed", &self.allowed_sources)?;
        check_ranges("denied", &self.denied_sources)?;
        Ok(self)
    }
}

fn check_ranges(what: &str, ranges: &[String]) -> Result<(), Rejection> {
    if ranges.len() > MOST_RANGES {
        return Err(Rejection::validation(format!(
            "{what} sources must be at most {MOST_RANGES} address ranges"
        )));
    }
    match ranges.iter().find(|range| !is_range(range)) {
        Some(range) => Err(Rejection::validation(format!(
            "{what} source '{range}' is no address range like 10.0.0.0/8 or 2001:db8::/32"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::ListenerAttribute::{AllowedSources, Burst, DeniedSources, RequestsPerSecond};
    use super::*;

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let first = ListenerAttributes::default()
            .changed(vec![RequestsPerSecond(5), Burst(10)])
            .unwrap();
        let second = first.changed(vec![DeniedSources(vec!["10.0.0.0/8".to_owned()])]);
        let second = second.unwrap();
        assert_eq!((second.requests_per_second, second.burst), (5, 10));
        assert_eq!(second.denied_sources, ["10.0.0.0/8"]);
    }

    #[test]
    fn what_no_listener_may_have_is_named() {
        let many = vec!["10.0.0.0/8".to_owned(); MOST_RANGES + 1];
        for (change, names) in [
            (RequestsPerSecond(1_000_001), "1000001"),
            (Burst(1), "requests_per_second"),
            (AllowedSources(vec!["10.0.0.1".to_owned()]), "10.0.0.1"),
            (DeniedSources(many), "at most 100"),
        ] {
            let refused = ListenerAttributes::default().changed(vec![change]);
            let message = refused.unwrap_err().message;
            assert!(message.contains(names), "{message}");
        }
    }
}
