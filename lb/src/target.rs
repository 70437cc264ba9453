//! What every core shares about one target: may a request go there, how many are there, and how it
//! fares.
//!
//! The drain handshake rests on `word`, in which a core counts its request and sees the mark at once.

mod standing;
mod ticket;
mod word;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{info, warn};

use crate::client::ProxyProtocol;
use crate::health::{Health, HealthCheck, Outcome, State};
use crate::lock::lock;
use crate::tls::Connector;
use crate::traffic::{Answer, Traffic};
use crate::upstream::{Http2Pool, Pool, Protocol, Transport};
use crate::waiting::Room;
use standing::Standing;
pub(crate) use ticket::Ticket;
use word::{REQUESTS, Word};

/// One target, for as long as a table names it or a request is there.
pub(crate) struct Target {
    address: SocketAddr,
    /// Stands for it in cookies: the same on every load balancer, and says nothing.
    mark: String,
    word: Word,
    /// Equals `health.state`, for the cores to read without a lock.
    state: AtomicU8,
    health: Mutex<Health>,
    /// What the last probe came to, and how long that took.
    probed: Mutex<Option<(Outcome, Duration)>>,
    /// How many requests it gets at once.
    most_requests: AtomicU64,
    /// It is in the load balancer's own zone.
    near: AtomicBool,
    company: Company,
    traffic: Traffic,
    /// Of one that is spoken to in TLS.
    connector: Option<Connector>,
    pool: Pool,
    http2_pool: Http2Pool,
    standing: Standing,
}

/// What a target has in common with others.
#[derive(Debug, Clone)]
pub(crate) struct Company {
    /// ARN of its group.
    pub(crate) group: Arc<str>,
    /// What all of its group speak.
    pub(crate) protocol: Protocol,
    /// In what it is wrapped.
    pub(crate) transport: Transport,
    /// How they are told whose connection they get, when it is passed on as it is.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Wakes the control loop when something is to be reported.
    pub(crate) changed: Arc<Notify>,
    /// Where requests wait for a target of its group.
    pub(crate) room: Arc<Room>,
    /// Of its group.
    pub(crate) traffic: Arc<Traffic>,
}

impl Target {
    /// `joins`: whether others of its group have their full share already.
    pub(crate) fn new(
        address: SocketAddr,
        mark: String,
        health: Health,
        pool: Pool,
        traffic: Traffic,
        company: Company,
        joins: bool,
    ) -> Self {
        let workers = traffic.workers();
        Self {
            address,
            mark,
            word: Word::new(),
            state: AtomicU8::new(health.state() as u8),
            health: Mutex::new(health),
            probed: Mutex::default(),
            most_requests: AtomicU64::new(REQUESTS),
            near: AtomicBool::new(true),
            connector: (company.transport == Transport::Tls)
                .then(|| Connector::new(company.protocol)),
            company,
            traffic,
            pool,
            http2_pool: Http2Pool::new(workers),
            standing: Standing::new(joins),
        }
    }

    /// Returns the ARN of its group.
    pub(crate) fn group(&self) -> &Arc<str> {
        &self.company.group
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Counts an answer of it, for itself and for its group.
    pub(crate) fn has_answered(&self, worker: usize, answer: Answer) {
        for traffic in [&self.traffic, self.company.traffic.as_ref()] {
            traffic.answered(worker, answer);
        }
    }

    /// Sets how many requests it gets at once; `None`: any number.
    pub(crate) fn set_most_requests(&self, most: Option<NonZeroU32>) {
        let most = most.map_or(REQUESTS, |most| most.get().into());
        self.most_requests.store(most, Release);
    }

    /// Says whether it is in the load balancer's own zone.
    pub(crate) fn set_near(&self, near: bool) {
        self.near.store(near, Release);
    }

    pub(crate) fn is_near(&self) -> bool {
        self.near.load(Acquire)
    }

    /// Returns whether it has as many requests as it gets at once.
    pub(crate) fn is_full(&self) -> bool {
        self.requests() >= self.most_requests.load(Acquire)
    }

    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Returns the share of a full one that it gets while it starts slowly: 1 to `FULL_WEIGHT`.
    pub(crate) fn weight(&self, now: Instant, slow_start: Duration) -> u32 {
        self.standing.weight(now, slow_start)
    }

    /// Returns whether requests have failed there one after the other: it gets none for a while, unless the others are no better.
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        self.standing.is_ejected(now)
    }

    /// A request was not answered there.
    fn has_failed(&self) {
        let now = Instant::now();
        if self.standing.failed(now) {
            let pause = self.standing.ejected_for(now).unwrap_or_default();
            warn!(
                target = %self.address,
                group = %self.company.group,
                seconds = pause.as_secs(),
                "ejected: requests fail there one after the other; it gets none for a while, unless the others are no better"
            );
        }
    }

    /// A request was answered there to the end.
    fn has_served(&self) {
        if self.standing.answered() {
            info!(target = %self.address, group = %self.company.group, "no longer ejected: it answers again");
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.company.protocol
    }

    pub(crate) fn transport(&self) -> Transport {
        self.company.transport
    }

    /// Returns what shakes hands with it, if it is spoken to in TLS.
    pub(crate) fn connector(&self) -> Option<&Connector> {
        self.connector.as_ref()
    }

    pub(crate) fn proxy_protocol(&self) -> Option<ProxyProtocol> {
        self.company.proxy_protocol
    }

    /// Counts a connection that is passed on to it as it is.
    pub(crate) fn has_a_connection(&self, worker: usize) {
        for traffic in [&self.traffic, self.company.traffic.as_ref()] {
            traffic.connected(worker);
        }
    }

    /// Returns the connections to this target, if it speaks HTTP/2.
    pub(crate) fn http2_pool(&self) -> &Http2Pool {
        &self.http2_pool
    }

    /// Returns the unused connections to this target, if it speaks HTTP/1.1.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.state.load(Acquire) == State::Healthy as u8
    }

    pub(crate) fn health(&self) -> Health {
        lock(&self.health).clone()
    }

    /// Returns what the last probe came to, such as `200 in 1.3 ms`, and whether requests say otherwise; nothing before the first one.
    pub(crate) fn last_probe(&self, now: Instant) -> String {
        let probed = *lock(&self.probed);
        let mut text = probed.map_or_else(String::new, |(outcome, took)| {
            format!("{outcome} in {:.1} ms", took.as_secs_f64() * 1000.0)
        });
        if let Some(left) = self.standing.ejected_for(now) {
            let seconds = left.as_millis().div_ceil(1000);
            text.push_str(&format!("; requests fail: ejected for {seconds} s"));
        }
        text
    }

    /// Takes in the outcome of a probe; returns the pause before the next one.
    pub(crate) fn observe(
        &self,
        outcome: Outcome,
        took: Duration,
        now: Instant,
        check: &HealthCheck,
    ) -> Duration {
        *lock(&self.probed) = Some((outcome, took));
        let mut health = lock(&self.health);
        let after = health.after(outcome, now, check);
        let turned = after.reason() != health.reason();
        if after.state() == State::Healthy && health.state() != State::Healthy {
            self.standing.became_healthy(now);
        }
        *health = after;
        self.state.store(health.state() as u8, Release);
        if turned {
            self.company.changed.notify_one();
            self.company.room.call_all();
        }
        health.pause(check)
    }

    /// Forgets what is known of the target's health, because its group is checked differently now.
    pub(crate) fn reset_health(&self, health: Health) {
        let mut current = lock(&self.health);
        *current = health;
        self.state.store(current.state() as u8, Release);
    }

    /// Lets no further request begin, and closes the unused connections.
    pub(crate) fn drain(&self) {
        self.word.drain();
        // After the mark: a core that gives a connection back looks at the mark under the pool's lock.
        self.pool.clear();
        self.http2_pool.clear();
    }

    /// Tells every request that is still there to end now. Whoever calls it rings the alarm.
    pub(crate) fn cut(&self) {
        self.word.cut();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.word.is_draining()
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.word.is_cut()
    }

    /// Returns how many requests are with this target, or on their way to it.
    pub(crate) fn requests(&self) -> u64 {
        self.word.requests()
    }

    fn begin(&self) -> bool {
        self.word.begin(self.most_requests.load(Acquire))
    }

    fn end(&self) {
        if self.word.end() {
            self.company.changed.notify_one();
        }
        self.company.room.call_one();
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Target")
            .field("address", &self.address)
            .field("requests", &self.requests())
            .field("draining", &self.is_draining())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
