//! Everything that a run has, in one place; each part locks only itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_core::state::Identity;
use roadstead_core::{ClusterState, Command, Timestamp};
use roadstead_server::simulation::Edge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::balancer::Balancers;
use crate::host::Host;
use crate::invariants::{Ledger, Name};
use crate::log::Ensemble;
use crate::network::Network;
use crate::plan::{Plan, Trouble};
use crate::server::Servers;
use crate::trace::Trace;

pub(crate) const SERVERS: usize = 3;
pub(crate) const HOSTS: usize = 4;
pub(crate) const BALANCERS: usize = 2;

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: Name,
    pub(crate) text: String,
}

/// One run.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    pub(crate) network: Network,
    pub(crate) log: Ensemble,
    pub(crate) servers: Servers,
    pub(crate) hosts: Vec<Host>,
    pub(crate) balancers: Balancers,
    pub(crate) ledger: Mutex<Ledger>,
    /// Cancelled when the faults are over.
    pub(crate) healed: CancellationToken,
    /// Cancelled when an invariant did not hold.
    pub(crate) over: CancellationToken,
    edge: Edge,
    begin: Instant,
    trace: Mutex<Trace>,
    violation: Mutex<Option<Violation>>,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan, edge: Edge) -> Arc<Self> {
        let named = Command::NameControlPlane(Identity {
            control_plane_id: "simulated".to_owned(),
            region: "local".to_owned(),
            account: "000000000000".to_owned(),
            authority: None,
        });
        Arc::new(Self {
            seed,
            plan,
            network: Network::default(),
            log: Ensemble::new(seed, named),
            servers: Servers::default(),
            hosts: (0..HOSTS).map(|number| Host::new(seed, number)).collect(),
            balancers: Balancers::default(),
            ledger: Mutex::default(),
            healed: CancellationToken::new(),
            over: CancellationToken::new(),
            edge,
            begin: Instant::now(),
            trace: Mutex::default(),
            violation: Mutex::default(),
        })
    }

    /// Returns the time of day, which all machines agree on.
    pub(crate) fn now(&self) -> Timestamp {
        self.edge.now()
    }

    /// Returns for how long the run has gone on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Returns the state that holds every committed entry.
    pub(crate) fn state(&self) -> Arc<ClusterState> {
        self.log.canonical()
    }

    /// Returns the host with that id.
    pub(crate) fn host(&self, id: &str) -> &Host {
        let number = usize::from_str_radix(id, 16).expect("a host's id is its number");
        &self.hosts[number]
    }

    /// Returns whether containers fail to start for no reason.
    pub(crate) fn fails_at_random(&self) -> bool {
        self.plan.trouble == Trouble::Everything && !self.is_healed()
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.is_cancelled()
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        lock(&self.trace).add(self.elapsed(), line);
    }

    /// An invariant did not hold: the run ends here. The first one counts.
    pub(crate) fn violated(&self, invariant: Name, text: String) {
        if self.plan.only.is_some_and(|only| only != invariant) {
            return;
        }
        self.note(format_args!("VIOLATED {invariant:?}: {text}"));
        lock(&self.violation).get_or_insert(Violation { invariant, text });
        self.over.cancel();
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        lock(&self.violation).clone()
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.trace)).into_lines()
    }
}

/// Locks what nobody panics with, or what a panic has ended anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
