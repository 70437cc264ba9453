//! Placements with 1,000 agents and 50,000 tasks, through raft to the disk. The agents are simulated: each has a session
//! of its own, sends its heartbeats and says at once that what it is told to run is RUNNING.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use roadstead_client::proto::agent::agent_instruction::Instruction;
use roadstead_client::proto::agent::agent_message::Message;
use roadstead_client::proto::agent::agent_session_client::AgentSessionClient;
use roadstead_client::proto::agent::{
    AgentMessage, DesiredTask, Heartbeat, ObservedTask, Register, TaskReport,
};
use roadstead_client::{ControlPlane, Endpoint};
use roadstead_tests::cluster::Role;
use roadstead_tests::proto::ecs::{
    CreateServiceRequest, DescribeClustersRequest, DescribeServicesRequest, PlacementStrategy,
    RunTaskRequest,
};
use roadstead_tests::{Client, Cluster, eventually, web};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::process::{cpu, mebibytes, resident};
use crate::samples::{Samples, millis};

/// What a server sees as one connection.
const SESSIONS_PER_CHANNEL: usize = 50;
const SERVICES: usize = 10;
const HEARTBEAT: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(600);
/// Of the sample service's memory, so that each agent has room for twice its share.
const MEMORY_MIB: u32 = 32;

pub(crate) async fn measure(agents: usize, tasks: usize, decisions: usize) -> anyhow::Result<()> {
    let mut cluster = Cluster::control_plane_alone().await?;
    let server = i32::try_from(cluster.role(Role::Server)?.pid()?)?;
    let share = u32::try_from(tasks.div_ceil(agents))?;
    let mut sessions = JoinSet::new();
    let mut channel = None;
    for agent in 0..agents {
        if agent % SESSIONS_PER_CHANNEL == 0 {
            let server = ControlPlane::new(vec![Endpoint::Unix(cluster.socket())]);
            channel = Some(server.connect().await?);
        }
        let channel = channel.clone().context("there is a channel by now")?;
        sessions.spawn(act(channel, register(agent, 2 * share)));
    }
    let client = &cluster.client;
    eventually(DEADLINE, "the agents", async || {
        Ok((registered(client).await? == agents).then_some(()))
    })
    .await?;

    let revision = client
        .register(web::definition(&[web::container("sample:v1", &[])]))
        .await?;
    let each = tasks / SERVICES;
    let (begun, worked) = (Instant::now(), cpu(server)?);
    for service in 0..SERVICES {
        create(client, &name(service), &revision, each).await?;
    }
    eventually(DEADLINE, "the tasks", async || {
        Ok((running(client).await? == each * SERVICES).then_some(()))
    })
    .await?;
    let (all, worked) = (begun.elapsed(), cpu(server)? - worked);

    let mut decided = Samples::default();
    let mut ecs = client.ecs().await?;
    for _ in 0..decisions {
        let request = RunTaskRequest {
            task_definition: Some(revision.clone()),
            ..RunTaskRequest::default()
        };
        let begun = Instant::now();
        let answer = ecs.run_task(request).await?.into_inner();
        decided.push(begun.elapsed());
        ensure!(answer.tasks.len() == 1, "{:?}", answer.failures);
    }
    println!(
        "\n| {agents} agents, {} tasks | |\n|---|---|",
        each * SERVICES
    );
    println!("| until all are RUNNING | {:.1} s |", all.as_secs_f64());
    println!(
        "| placements per second | {:.0} |",
        (each * SERVICES) as f64 / all.as_secs_f64()
    );
    println!(
        "| CPU of the server meanwhile | {:.1} s |",
        worked.as_secs_f64()
    );
    println!(
        "| one more by `run task`, on the disk: median | {:.1} ms |",
        millis(decided.median())
    );
    println!("| p99 | {:.1} ms |", millis(decided.quantile(0.99)));
    let resident = mebibytes(resident(server)?);
    println!("| memory of the server with all of it, RSS | {resident:.0} MiB |");
    sessions.shutdown().await;
    cluster.finish().await
}

async fn create(client: &Client, name: &str, revision: &str, tasks: usize) -> anyhow::Result<()> {
    let request = CreateServiceRequest {
        service_name: Some(name.to_owned()),
        task_definition: Some(revision.to_owned()),
        desired_count: Some(i32::try_from(tasks)?),
        placement_strategy: vec![PlacementStrategy {
            r#type: Some("spread".to_owned()),
            field: Some("instanceId".to_owned()),
        }],
        ..CreateServiceRequest::default()
    };
    client.ecs().await?.create_service(request).await?;
    Ok(())
}

fn name(service: usize) -> String {
    format!("service-{service}")
}

async fn running(client: &Client) -> anyhow::Result<usize> {
    let request = DescribeServicesRequest {
        services: (0..SERVICES).map(name).collect(),
        ..DescribeServicesRequest::default()
    };
    let answer = client.ecs().await?.describe_services(request).await?;
    let counts = answer.into_inner().services.into_iter();
    let sum: i32 = counts.filter_map(|service| service.running_count).sum();
    Ok(usize::try_from(sum)?)
}

async fn registered(client: &Client) -> anyhow::Result<usize> {
    let request = DescribeClustersRequest::default();
    let answer = client.ecs().await?.describe_clusters(request).await?;
    let cluster = answer.into_inner().clusters.into_iter().next();
    let count = cluster.and_then(|cluster| cluster.registered_container_instances_count);
    Ok(usize::try_from(count.unwrap_or(0))?)
}

/// Real ids have nothing in common; those of a counter would share their first digits.
fn scattered_id(agent: usize) -> String {
    format!(
        "{:032x}",
        (agent as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    )
}

fn register(agent: usize, tasks: u32) -> Register {
    Register {
        cluster: "default".to_owned(),
        container_instance_id: scattered_id(agent),
        agent_version: "bench".to_owned(),
        host_name: format!("host-{agent}"),
        address: "127.0.0.1".to_owned(),
        cpu_units: 4096,
        memory_mib: tasks * MEMORY_MIB,
        reserved_ports: Vec::new(),
        attributes: BTreeMap::new(),
    }
}

/// Keeps one session up.
async fn act(channel: Channel, register: Register) -> anyhow::Result<()> {
    let (say, said) = mpsc::channel(16);
    let message = |message| AgentMessage {
        message: Some(message),
    };
    say.send(message(Message::Register(register))).await?;
    let mut client = AgentSessionClient::new(channel);
    let opened = client.session(ReceiverStream::new(said)).await?;
    let mut instructions = opened.into_inner();
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            _ = heartbeat.tick() => say.send(message(Message::Heartbeat(Heartbeat {}))).await?,
            instruction = instructions.message() => {
                let instruction = instruction?.context("the session has ended")?;
                if let Some(Instruction::Desired(desired)) = instruction.instruction {
                    let tasks = desired.tasks.into_iter().map(observe).collect();
                    say.send(message(Message::Report(TaskReport { tasks }))).await?;
                }
            }
        }
    }
}

fn observe(task: DesiredTask) -> ObservedTask {
    let stopped = task.desired_status == "STOPPED";
    ObservedTask {
        task_id: task.task_id,
        last_status: if stopped { "STOPPED" } else { "RUNNING" }.to_owned(),
        started_at: 1,
        ..ObservedTask::default()
    }
}
