//! How much each client address may have: connections at once, and requests by time.
//!
//! What counts as one address is one IPv4 address or 64 bits of an IPv6 one, which is what one subscriber has whole. Of
//! connections each address that has any is known. Of requests no more addresses are remembered than `MOST_REMEMBERED`;
//! beyond that, new ones are let through: who has so many addresses cannot be told from a crowd.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::table::RateLimit;

const MOST_REMEMBERED: usize = 65_536;

/// What counts as one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// How many connections each address has.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    open: Mutex<HashMap<Source, usize>>,
}

impl Connections {
    /// Returns a count that admits so many connections of each address.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    /// Counts one more; `None` when the address has as many as it may.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let source = Source::of(address);
        let mut open = lock(&self.open);
        let count = open.entry(source).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        let connections = Arc::clone(self);
        Some(Admitted {
            connections,
            source,
        })
    }
}

/// One connection, as long as it is open.
#[derive(Debug)]
pub(crate) struct Admitted {
    connections: Arc<Connections>,
    source: Source,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = lock(&self.connections.open);
        if let Some(count) = open.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.source);
            }
        }
    }
}

/// The requests of each address on one listener, measured against its limit.
///
/// The measure is the generic cell rate algorithm: of each address one moment is remembered, at which its requests so far
/// would have been due at an even pace.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: RateLimit,
    due: Mutex<HashMap<Source, Instant>>,
}

impl Meter {
    /// Returns a meter on which no address has made a request.
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            due: Mutex::default(),
        }
    }

    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Counts a request.
    ///
    /// # Errors
    /// Returns how long the address must wait when it makes too many.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let source = Source::of(address);
        let mut due = lock(&self.due);
        if due.len() >= MOST_REMEMBERED && !due.contains_key(&source) {
            // Idle ones are forgotten every second; to look for them here would be work for whoever fills it.
            return Ok(());
        }
        let moment = due.entry(source).or_insert(now);
        *moment = self.limit.next(*moment, now)?;
        Ok(())
    }

    /// Forgets whoever may make a whole burst again.
    pub(crate) fn forget_idle(&self, now: Instant) {
        lock(&self.due).retain(|_, due| *due > now);
    }
}

impl RateLimit {
    /// Returns when the request after this one is due at an even pace, if the one before was due at `due`.
    fn next(self, due: Instant, now: Instant) -> Result<Instant, Duration> {
        let pause = Duration::from_secs(1) / self.requests_per_second.get();
        let ahead = pause * (self.burst.get() - 1);
        match due.checked_duration_since(now + ahead) {
            Some(wait) if !wait.is_zero() => Err(wait),
            Some(_) | None => Ok(due.max(now) + pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_room_again_when_one_ends() {
        let connections = Arc::new(Connections::new(2));
        let first = connections.admit(address("10.0.0.1"));
        let second = connections.admit(address("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(connections.admit(address("10.0.0.1")).is_none());
        assert!(connections.admit(address("10.0.0.2")).is_some());
        drop(first);
        assert!(connections.admit(address("10.0.0.1")).is_some());
        drop(second);
        assert!(lock(&connections.open).is_empty(), "nobody is left");
    }

    #[test]
    fn what_one_subscriber_has_of_ipv6_counts_as_one_address() {
        let connections = Arc::new(Connections::new(1));
        let _open = connections.admit(address("2001:db8:0:1::1")).unwrap();
        assert!(connections.admit(address("2001:db8:0:1:ffff::9")).is_none());
        assert!(connections.admit(address("2001:db8:0:2::1")).is_some());
    }

    fn meter(requests_per_second: u32, burst: u32) -> Meter {
        Meter::new(RateLimit {
            requests_per_second: NonZeroU32::new(requests_per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_request_each_pause() {
        let meter = meter(10, 3);
        let (client, now) = (address("10.0.0.1"), Instant::now());
        for _ in 0..3 {
            assert_eq!(meter.take(client, now), Ok(()));
        }
        let pause = Duration::from_millis(100);
        assert_eq!(meter.take(client, now), Err(pause));
        assert_eq!(meter.take(address("10.0.0.2"), now), Ok(()));
        assert_eq!(meter.take(client, now + pause), Ok(()));
        assert!(meter.take(client, now + pause).is_err());
        let later = now + 10 * pause;
        for _ in 0..3 {
            assert_eq!(meter.take(client, later), Ok(()), "a whole burst again");
        }
        assert!(meter.take(client, later).is_err());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let meter = meter(1, 1);
        let now = Instant::now();
        for number in 0..=u32::try_from(MOST_REMEMBERED).unwrap() {
            let client = IpAddr::from(number.to_be_bytes());
            assert_eq!(meter.take(client, now), Ok(()));
        }
        assert_eq!(lock(&meter.due).len(), MOST_REMEMBERED);
        let known = IpAddr::from(0_u32.to_be_bytes());
        assert!(meter.take(known, now).is_err(), "the first are still known");
        meter.forget_idle(now + Duration::from_secs(1));
        assert!(lock(&meter.due).is_empty());
    }
}
