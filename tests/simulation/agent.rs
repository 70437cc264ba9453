//! The process of an agent: one task works on what is desired, the other keeps a session, as in the real one.

use std::sync::Arc;
use std::time::Duration;

use roadstead_proto::agent::agent_instruction::Instruction;
use roadstead_proto::agent::agent_message::Message;
use roadstead_proto::agent::{AgentMessage, Heartbeat, Register};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::host::sleep_until_some;
use crate::log::server_at;
use crate::network::KEEPALIVE;
use crate::random::Random;
use crate::server;
use crate::user::CLUSTER;
use crate::world::{SERVERS, World};

const HEARTBEAT: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Starts the agent of a host, unless it runs.
pub(crate) fn start(world: &Arc<World>, number: usize) {
    let host = &world.hosts[number];
    if host.has_agent() {
        return;
    }
    host.machine().agent_begins(world);
    world.note(format_args!("the agent of host {number} starts"));
    let own = Arc::clone(world);
    let process = tokio::spawn(async move {
        tokio::join!(work(&own, number), converse(&own, number));
    });
    host.keep_agent(AbortOnDropHandle::new(process));
}

async fn work(world: &Arc<World>, number: usize) {
    let host = &world.hosts[number];
    let mut told = None;
    loop {
        let (next, report) = {
            let mut machine = host.machine();
            (machine.step(world), machine.report())
        };
        // What only time changes in a report is a health check that passes.
        let unsettled = report
            .tasks
            .iter()
            .any(|task| task.health_status == "UNKNOWN" && task.last_status == "RUNNING");
        if told.as_ref() != Some(&report) {
            told = Some(report);
            host.news.notify_one();
        }
        tokio::select! {
            biased;
            () = host.told.notified() => {}
            () = sleep_until_some(next) => {}
            () = sleep(HEARTBEAT), if unsettled => {}
        }
    }
}

async fn converse(world: &Arc<World>, number: usize) {
    let mut random = Random::new(world.seed, &format!("agent {number} {:?}", world.elapsed()));
    let mut server = random.index(SERVERS);
    let mut pause = Duration::from_millis(100);
    loop {
        let (ended, heard) = session(world, number, server).await;
        if heard {
            pause = Duration::from_millis(100);
        }
        let leader = roadstead_client::leader_of(&ended)
            .as_ref()
            .and_then(server_at);
        server = leader.unwrap_or((server + 1) % SERVERS);
        sleep(pause.mul_f64(0.5) + random.milliseconds(0, 50)).await;
        pause = if leader.is_some() {
            Duration::from_millis(100)
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
    }
}

/// Runs one session; returns why it ended, and whether anything was heard in it.
async fn session(world: &Arc<World>, number: usize, server: usize) -> (Status, bool) {
    let host = &world.hosts[number];
    let (send, messages) = mpsc::channel(8);
    let say = async |message| {
        let message = AgentMessage {
            message: Some(message),
        };
        let said = timeout(KEEPALIVE, send.send(message)).await;
        matches!(said, Ok(Ok(())))
    };
    let closed = || Status::unavailable("the session is closed");
    say(Message::Register(register(world, number))).await;
    let opened = server::agent_session(world, number, server, ReceiverStream::new(messages)).await;
    let mut instructions = match opened {
        Ok(instructions) => instructions,
        Err(refusal) => return (refusal, false),
    };
    host.news.notify_one();
    let mut heard = false;
    let opening = sleep(KEEPALIVE);
    tokio::pin!(opening);
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            received = instructions.next() => {
                let instruction = match received {
                    Some(Ok(instruction)) => instruction,
                    Some(Err(status)) => return (status, heard),
                    None => return (closed(), heard),
                };
                heard = true;
                if let Some(Instruction::Desired(set)) = instruction.instruction {
                    host.machine().accept(world, set);
                    host.told.notify_one();
                }
            }
            () = host.news.notified() => {
                let report = host.machine().report();
                if !say(Message::Report(report)).await {
                    return (closed(), heard);
                }
            }
            _ = heartbeat.tick() => if !say(Message::Heartbeat(Heartbeat {})).await {
                return (closed(), heard);
            },
            () = &mut opening, if !heard => return (closed(), heard),
        }
    }
}

fn register(world: &World, number: usize) -> Register {
    let machine = world.hosts[number].machine();
    Register {
        cluster: CLUSTER.to_owned(),
        container_instance_id: machine.id.clone(),
        agent_version: "simulated".to_owned(),
        host_name: format!("host-{number}"),
        address: machine.address.clone(),
        cpu_units: machine.cpu_units,
        memory_mib: machine.memory_mib,
        ..Register::default()
    }
}
