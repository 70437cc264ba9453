//! The processes of the control plane: the real servers, on the simulated log and network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roadstead_proto::agent::{AgentInstruction, AgentMessage};
use roadstead_proto::lb::{NodeReport, Table};
use roadstead_server::simulation::Server;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::log::Replica;
use crate::network::{Connection, Network, Place};
use crate::world::{SERVERS, World, lock};

/// So soon is forgotten what has ended: a run does not last an hour.
const RETENTION: Duration = Duration::from_secs(15);

/// One life of a server.
#[derive(Clone)]
pub(crate) struct Life {
    server: Arc<Server<Replica>>,
    pub(crate) replica: Arc<Replica>,
    ended: CancellationToken,
}

/// Those that are up.
#[derive(Default)]
pub(crate) struct Servers([Mutex<Option<Life>>; SERVERS]);

impl Servers {
    pub(crate) fn life(&self, server: usize) -> Option<Life> {
        lock(&self.0[server]).clone()
    }

    /// Starts a server unless it is up.
    pub(crate) fn start(&self, world: &Arc<World>, server: usize) {
        let mut slot = lock(&self.0[server]);
        if slot.is_some() {
            return;
        }
        world.network.lighten(Place::Server(server));
        let life = world.log.start(server);
        world.note(format_args!("server {server} starts"));
        let replica = Arc::new(Replica::new(world, server, life));
        *slot = Some(Life {
            server: Arc::new(Server::start(&replica, RETENTION)),
            replica,
            ended: CancellationToken::new(),
        });
    }

    /// Ends a server's process; without power its peers hear nothing of it.
    pub(crate) fn crash(&self, world: &Arc<World>, server: usize, power: bool) {
        let Some(life) = lock(&self.0[server]).take() else {
            return;
        };
        world.note(format_args!(
            "server {server} {}",
            if power { "is killed" } else { "loses power" }
        ));
        if power {
            world.network.reset(Place::Server(server));
        } else {
            world.network.darken(Place::Server(server));
        }
        world.log.stop(server);
        life.server.crash();
        life.ended.cancel();
    }

    /// Forgets all of them, so that nothing keeps the world alive.
    pub(crate) fn clear(&self) {
        for slot in &self.0 {
            drop(lock(slot).take());
        }
    }
}

type Answer<T> = Result<ReceiverStream<Result<T, Status>>, Status>;

/// Opens the session of an agent with a server.
pub(crate) async fn agent_session(
    world: &Arc<World>,
    host: usize,
    server: usize,
    messages: impl Stream<Item = AgentMessage> + Send + Unpin + 'static,
) -> Answer<AgentInstruction> {
    let (life, connection) = connect(world, Place::Host(host), server).await?;
    let incoming = connection.up(world, messages.map(Ok));
    let (inbox, received) = mpsc::channel(64);
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let open = life.server.agent_session(incoming);
        answer(&world, &life, &connection, open, inbox).await;
    });
    Ok(ReceiverStream::new(received))
}

/// Opens the session of a load balancer with a server.
pub(crate) async fn balancer_session(
    world: &Arc<World>,
    balancer: usize,
    server: usize,
    reports: impl Stream<Item = NodeReport> + Send + Unpin + 'static,
) -> Answer<Table> {
    let (life, connection) = connect(world, Place::Balancer(balancer), server).await?;
    let incoming = connection.up(world, reports.map(Ok));
    let (inbox, received) = mpsc::channel(64);
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let open = life.server.load_balancer_session(incoming);
        answer(&world, &life, &connection, open, inbox).await;
    });
    Ok(ReceiverStream::new(received))
}

async fn connect(
    world: &Arc<World>,
    from: Place,
    server: usize,
) -> Result<(Life, Arc<Connection>), Status> {
    let connection = Network::connect(world, from, Place::Server(server)).await?;
    let Some(life) = world.servers.life(server) else {
        connection.close();
        return Err(Status::unavailable("the server is down"));
    };
    Ok((life, connection))
}

/// Runs a call on the server until either side is gone.
async fn answer<T: Send + 'static>(
    world: &Arc<World>,
    life: &Life,
    connection: &Arc<Connection>,
    open: impl Future<Output = Result<ReceiverStream<T>, Status>>,
    inbox: mpsc::Sender<Result<T, Status>>,
) {
    let opened = tokio::select! {
        biased;
        () = connection.broken() => return,
        // Its peer hears of that from the network, or by keepalive.
        () = life.ended.cancelled() => return connection.broken().await,
        () = connection.hung_up(&world.network, &inbox) => return connection.close(),
        opened = open => opened,
    };
    match opened {
        Ok(stream) => connection.down(world, stream.map(Ok), inbox).await,
        Err(status) => {
            let refusal = tokio_stream::once(Err(status));
            connection.down(world, refusal, inbox).await;
        }
    }
    connection.close();
}
