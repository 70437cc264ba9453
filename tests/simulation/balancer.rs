//! A load balancer: follows tables, probes, drains, reports as `lb.proto` says, and has clients of its own.

mod health;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use roadstead_proto::lb::{NodeReport, Table};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::invariants::drained_means_no_new_request;
use crate::log::server_at;
use crate::network::KEEPALIVE;
use crate::random::Random;
use crate::server;
use crate::world::{BALANCERS, SERVERS, World, lock};
use process::Process;

const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A request that is with a target, or on its way there.
#[derive(Debug)]
struct Flight {
    node: String,
    task: String,
    arrived: bool,
    /// The container has ended before it answered.
    broken: bool,
}

#[derive(Debug, Default)]
struct Traffic {
    flights: BTreeMap<u64, Flight>,
    next: u64,
    served: u64,
}

/// What a load balancer has on disk, and its process.
#[derive(Debug, Default)]
struct Slot {
    saved: Option<Table>,
    starts: u64,
    process: Option<AbortOnDropHandle<()>>,
}

/// All load balancers, and every request.
#[derive(Debug, Default)]
pub(crate) struct Balancers {
    traffic: Mutex<Traffic>,
    slots: [Mutex<Slot>; BALANCERS],
}

/// Returns the id that a load balancer keeps for ever.
fn node_id(number: usize) -> String {
    format!("balancer-{number}")
}

impl Balancers {
    /// Returns the load balancers that have a request at a task.
    pub(crate) fn with_requests_at(&self, task: &str) -> BTreeSet<String> {
        let traffic = lock(&self.traffic);
        let there = traffic.flights.values().filter(|one| one.task == task);
        there.map(|one| one.node.clone()).collect()
    }

    /// A task's container has ended, with whatever it was answering.
    pub(crate) fn break_off(&self, task: &str) {
        let mut traffic = lock(&self.traffic);
        let there = traffic
            .flights
            .values_mut()
            .filter(|one| one.task == task && one.arrived);
        there.for_each(|one| one.broken = true);
    }

    /// Returns how many requests were served.
    pub(crate) fn served(&self) -> u64 {
        lock(&self.traffic).served
    }

    fn take_off(&self, world: &World, node: &str, task: &str) -> u64 {
        drained_means_no_new_request::sends(world, node, task);
        let mut traffic = lock(&self.traffic);
        traffic.next += 1;
        let number = traffic.next;
        let flight = Flight {
            node: node.to_owned(),
            task: task.to_owned(),
            arrived: false,
            broken: false,
        };
        traffic.flights.insert(number, flight);
        number
    }

    fn arrive(&self, flight: u64) {
        if let Some(flight) = lock(&self.traffic).flights.get_mut(&flight) {
            flight.arrived = true;
        }
    }

    /// Ends a request; returns whether it was answered.
    fn land(&self, flight: u64) -> bool {
        let mut traffic = lock(&self.traffic);
        let answered = traffic
            .flights
            .remove(&flight)
            .is_some_and(|one| one.arrived && !one.broken);
        traffic.served += u64::from(answered);
        answered
    }

    /// Kills a load balancer; its clients' requests end with it.
    pub(crate) fn kill(&self, world: &World, number: usize) {
        world.note(format_args!("load balancer {number} is killed"));
        drop(lock(&self.slots[number]).process.take());
        let node = node_id(number);
        lock(&self.traffic)
            .flights
            .retain(|_, one| one.node != node);
    }

    /// Puts a table on disk, unless a newer one is there.
    fn save(&self, number: usize, table: Table) {
        let mut slot = lock(&self.slots[number]);
        let known = slot.saved.as_ref().map_or(0, |saved| saved.revision);
        if table.revision > known {
            slot.saved = Some(table);
        }
    }
}

/// Starts a load balancer, unless it runs.
pub(crate) fn start(world: &Arc<World>, number: usize) {
    let mut slot = lock(&world.balancers.slots[number]);
    if slot.process.is_some() {
        return;
    }
    slot.starts += 1;
    world.note(format_args!("load balancer {number} starts"));
    let incarnation = format!("{number}-{}", slot.starts);
    let (own, saved) = (Arc::clone(world), slot.saved.clone());
    let process = tokio::spawn(async move {
        let (sender, tables) = mpsc::channel(1);
        let (reports, reported) = watch::channel(NodeReport::default());
        let mut process = Process::new(&own, number, incarnation, saved, reports);
        tokio::join!(
            process.run(tables),
            converse(&own, number, sender, reported)
        );
    });
    slot.process = Some(AbortOnDropHandle::new(process));
}

async fn converse(
    world: &Arc<World>,
    number: usize,
    tables: mpsc::Sender<Table>,
    reports: watch::Receiver<NodeReport>,
) {
    let mut random = Random::new(
        world.seed,
        &format!("session {number} {:?}", world.elapsed()),
    );
    let mut server = random.index(SERVERS);
    let mut pause = Duration::from_millis(50);
    loop {
        let (ended, heard) = session(world, number, server, &tables, reports.clone()).await;
        if heard {
            pause = Duration::from_millis(50);
        }
        let leader = roadstead_client::leader_of(&ended)
            .as_ref()
            .and_then(server_at);
        server = leader.unwrap_or((server + 1) % SERVERS);
        sleep(pause.mul_f64(0.5) + random.milliseconds(0, 50)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn session(
    world: &Arc<World>,
    number: usize,
    server: usize,
    tables: &mpsc::Sender<Table>,
    reports: watch::Receiver<NodeReport>,
) -> (Status, bool) {
    let closed = || Status::unavailable("the session is closed");
    let opened = server::balancer_session(world, number, server, WatchStream::new(reports)).await;
    let mut received = match opened {
        Ok(received) => received,
        Err(refusal) => return (refusal, false),
    };
    let mut heard = false;
    loop {
        let next = match timeout(KEEPALIVE * 2, received.next()).await {
            Err(_) if !heard => return (closed(), false),
            Err(_) => continue,
            Ok(next) => next,
        };
        match next {
            Some(Ok(table)) => {
                heard = true;
                if tables.send(table).await.is_err() {
                    return (closed(), heard);
                }
            }
            Some(Err(status)) => return (status, heard),
            None => return (closed(), heard),
        }
    }
}
