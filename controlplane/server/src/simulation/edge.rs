//! Time and randomness from a seed, for the thread that simulates.

use std::cell::RefCell;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use roadstead_core::Timestamp;
use roadstead_core::id::{DeploymentId, TaskId};
use tokio::time::Instant;

use crate::{clock, id};

/// Where simulated time begins: a day in September 2001.
const BEGIN: Timestamp = Timestamp(1_000_000_000_000);

thread_local! {
    static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Source {
    begin: Instant,
    random: StdRng,
}

/// While it exists, this thread's time of day follows the runtime's paused clock, and its ids come from the seed.
#[derive(Debug)]
pub struct Edge(());

/// Begins a simulation on this thread.
#[must_use]
pub fn begin(seed: u64) -> Edge {
    let source = Source {
        begin: Instant::now(),
        random: StdRng::seed_from_u64(seed),
    };
    SOURCE.set(Some(source));
    Edge(())
}

impl Edge {
    /// Returns the time of day, as the servers read it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        clock::now()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        SOURCE.set(None);
    }
}

/// Makes an id as the API does.
#[must_use]
pub fn task_id() -> TaskId {
    id::task()
}

/// Makes an id as the API does.
#[must_use]
pub fn deployment_id() -> DeploymentId {
    id::deployment()
}

/// Returns the simulated time of day, in a simulation.
pub(crate) fn now() -> Option<Timestamp> {
    SOURCE.with_borrow(|source| {
        let elapsed: Duration = source.as_ref()?.begin.elapsed();
        Some(BEGIN.after(elapsed))
    })
}

/// Returns 128 bits from the seed, in a simulation.
pub(crate) fn draw() -> Option<u128> {
    SOURCE.with_borrow_mut(|source| Some(source.as_mut()?.random.random()))
}
