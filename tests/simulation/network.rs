//! The network: every message takes its time, links are cut one way or both, and a cut is noticed after five seconds.
//!
//! A connection is ordered as TCP is. What is said over a cut link waits; when the link has been cut for as long as keepalive
//! takes, both ends see their connection broken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::random::Random;
use crate::world::World;

/// As the servers' HTTP/2 keepalive.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(5);

/// A machine, as the network knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Server(usize),
    Host(usize),
    Balancer(usize),
}

#[derive(Debug, Default)]
struct Links {
    /// From the first to the second nothing arrives.
    cut: BTreeSet<(Place, Place)>,
    /// Without power: nothing arrives, and nothing leaves.
    dark: BTreeSet<Place>,
    connections: Vec<Arc<Connection>>,
    opened: u64,
}

impl Links {
    fn blocked(&self, from: Place, to: Place) -> bool {
        self.cut.contains(&(from, to)) || self.dark.contains(&from) || self.dark.contains(&to)
    }
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: Mutex<Links>,
    changed: Notify,
}

/// Two ends that believe to be connected, until `broken`.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Place,
    server: Place,
    number: u64,
    broken: CancellationToken,
}

impl Network {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the two can speak with each other.
    pub(crate) fn connects(&self, one: Place, other: Place) -> bool {
        let links = self.links();
        one == other || !links.blocked(one, other) && !links.blocked(other, one)
    }

    fn change(&self, change: impl FnOnce(&mut Links)) {
        change(&mut self.links());
        self.changed.notify_waiters();
    }

    pub(crate) fn cut(&self, from: Place, to: Place) {
        self.change(|links| {
            links.cut.insert((from, to));
        });
    }

    pub(crate) fn mend(&self, from: Place, to: Place) {
        self.change(|links| {
            links.cut.remove(&(from, to));
        });
    }

    pub(crate) fn darken(&self, place: Place) {
        self.change(|links| {
            links.dark.insert(place);
        });
    }

    pub(crate) fn lighten(&self, place: Place) {
        self.change(|links| {
            links.dark.remove(&place);
        });
    }

    /// Mends every cut. Power is another matter.
    pub(crate) fn mend_all(&self) {
        self.change(|links| links.cut.clear());
    }

    /// A process has died on a machine that goes on: its peers hear of it at once.
    pub(crate) fn reset(&self, place: Place) {
        let links = self.links();
        let of = |one: &&Arc<Connection>| one.client == place || one.server == place;
        let closing: Vec<_> = links.connections.iter().filter(of).cloned().collect();
        drop(links);
        for connection in closing {
            connection.broken.cancel();
        }
    }

    /// Waits until what leaves `from` arrives at `to`.
    pub(crate) async fn passable(&self, from: Place, to: Place) {
        self.until(|links| !links.blocked(from, to)).await;
    }

    async fn until(&self, reached: impl Fn(&Links) -> bool) {
        loop {
            let changed = self.changed.notified();
            if reached(&self.links()) {
                return;
            }
            changed.await;
        }
    }

    /// Connects two places.
    ///
    /// # Errors
    /// Fails when the other side cannot be reached within the time that keepalive takes.
    pub(crate) async fn connect(
        world: &Arc<World>,
        client: Place,
        server: Place,
    ) -> Result<Arc<Connection>, Status> {
        let network = &world.network;
        let open =
            network.until(|links| !links.blocked(client, server) && !links.blocked(server, client));
        if timeout(KEEPALIVE, open).await.is_err() {
            return Err(Status::unavailable("the server cannot be reached"));
        }
        let connection = {
            let mut links = network.links();
            links.opened += 1;
            let connection = Arc::new(Connection {
                client,
                server,
                number: links.opened,
                broken: CancellationToken::new(),
            });
            links.connections.retain(|one| !one.broken.is_cancelled());
            links.connections.push(Arc::clone(&connection));
            connection
        };
        let (world, guarded) = (Arc::clone(world), Arc::clone(&connection));
        tokio::spawn(async move { guarded.keep_alive(&world.network).await });
        Ok(connection)
    }
}

impl Connection {
    /// Waits until the connection is broken.
    pub(crate) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Waits until the client has hung up and the server can know it.
    pub(crate) async fn hung_up<T>(&self, network: &Network, inbox: &mpsc::Sender<T>) {
        inbox.closed().await;
        network.passable(self.client, self.server).await;
    }

    /// Closes both ends.
    pub(crate) fn close(&self) {
        self.broken.cancel();
    }

    async fn keep_alive(&self, network: &Network) {
        let (one, other) = (self.client, self.server);
        let blocked = |links: &Links| links.blocked(one, other) || links.blocked(other, one);
        loop {
            tokio::select! {
                biased;
                () = self.broken.cancelled() => return,
                () = network.until(blocked) => {}
            }
            let mended = timeout(KEEPALIVE, network.until(|links| !blocked(links)));
            tokio::select! {
                biased;
                () = self.broken.cancelled() => return,
                mended = mended => if mended.is_err() {
                    self.broken.cancel();
                },
            }
        }
    }

    /// Carries what the client says to the server.
    pub(crate) fn up<T: Send + 'static>(
        self: &Arc<Self>,
        world: &Arc<World>,
        source: impl Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
    ) -> ReceiverStream<Result<T, Status>> {
        let (inbox, received) = mpsc::channel(64);
        let way = (self.client, self.server);
        tokio::spawn(carry(
            Arc::clone(world),
            Arc::clone(self),
            way,
            source,
            inbox,
        ));
        ReceiverStream::new(received)
    }

    /// Carries what the server says to the client.
    pub(crate) async fn down<T: Send + 'static>(
        self: &Arc<Self>,
        world: &Arc<World>,
        source: impl Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
        inbox: mpsc::Sender<Result<T, Status>>,
    ) {
        let way = (self.server, self.client);
        carry(Arc::clone(world), Arc::clone(self), way, source, inbox).await;
    }
}

/// Carries one direction until its source ends, its reader is gone, or the connection breaks.
async fn carry<T>(
    world: Arc<World>,
    connection: Arc<Connection>,
    (from, to): (Place, Place),
    mut source: impl Stream<Item = Result<T, Status>> + Send + Unpin,
    inbox: mpsc::Sender<Result<T, Status>>,
) {
    let mut random = Random::new(
        world.seed,
        &format!("{from:?} {to:?} {}", connection.number),
    );
    let arrived = async {
        loop {
            let message = tokio::select! {
                biased;
                () = inbox.closed() => {
                    // The sender learns that nobody reads any more, if it can be told.
                    world.network.passable(to, from).await;
                    return true;
                }
                message = source.next() => message,
            };
            let arrival = Instant::now() + random.milliseconds(1, 12);
            sleep_until(arrival).await;
            world.network.passable(from, to).await;
            match message {
                None => return true,
                Some(message) => {
                    if inbox.send(message).await.is_err() {
                        return true;
                    }
                }
            }
        }
    };
    let ended = tokio::select! {
        biased;
        () = connection.broken() => false,
        ended = arrived => ended,
    };
    if !ended {
        // Whoever reads learns it now; one that does not read has other worries.
        drop(inbox.try_send(Err(Status::unavailable("the connection broke"))));
    }
}
