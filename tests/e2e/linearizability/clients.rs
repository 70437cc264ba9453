//! Clients that write and read at once. A register is the desired count of a service that nothing can run.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use roadstead_client::did_nothing;
use roadstead_tests::proto::ecs::{
    CreateServiceRequest, DescribeServicesRequest, UpdateServiceRequest,
};
use roadstead_tests::{Client, Hosts, eventually, web};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::register::{Calls, Operation, Outcome, Value};

/// Faults end elections and time limits of several seconds.
const DEADLINE: Duration = Duration::from_secs(60);
const SERVERS: usize = 3;

/// The clients at work: one for each server and register.
pub(crate) struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    calls: Vec<Mutex<Calls>>,
    /// Values differ, so that a read tells which write it saw.
    next: AtomicU32,
    done: AtomicUsize,
    stop: CancellationToken,
}

impl Clients {
    /// Creates the registers and sets the clients to work.
    pub(crate) async fn start(hosts: &Hosts, registers: usize) -> anyhow::Result<Self> {
        let client = hosts.client()?;
        let revision = client
            .register(web::definition(&[web::container("sample:v1", &[])]))
            .await?;
        for register in 0..registers {
            let request = CreateServiceRequest {
                service_name: Some(name(register)),
                task_definition: Some(revision.clone()),
                desired_count: Some(0),
                ..CreateServiceRequest::default()
            };
            client.ecs().await?.create_service(request).await?;
        }
        let shared = Arc::new(Shared {
            calls: (0..registers).map(|_| Mutex::default()).collect(),
            next: AtomicU32::new(1),
            done: AtomicUsize::new(0),
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        for server in 0..SERVERS {
            for register in 0..registers {
                let client = hosts.client_of(server)?;
                tasks.spawn(Arc::clone(&shared).work(client, register));
            }
        }
        Ok(Self { shared, tasks })
    }

    /// Waits until so many more calls have succeeded.
    pub(crate) async fn go_on(&self, more: usize) -> anyhow::Result<()> {
        let enough = self.shared.done.load(Ordering::Relaxed) + more;
        eventually(DEADLINE, "calls that succeed", async || {
            Ok((self.shared.done.load(Ordering::Relaxed) >= enough).then_some(()))
        })
        .await
    }

    /// Waits for the calls under way and returns what was seen of each register.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Vec<Calls>> {
        self.shared.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        let shared = Arc::into_inner(self.shared).context("a client is still at work")?;
        let calls = shared.calls.into_iter();
        Ok(calls
            .map(|calls| calls.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect())
    }
}

impl Shared {
    /// Writes and reads one register in turn by one server.
    async fn work(self: Arc<Self>, client: Client, register: usize) {
        let service = name(register);
        for turn in 0_u64.. {
            if self.stop.is_cancelled() {
                return;
            }
            let operation = if turn % 2 == 0 {
                Operation::Write(self.next.fetch_add(1, Ordering::Relaxed))
            } else {
                Operation::Read(None)
            };
            let call = self.calls(register).begin(operation);
            let outcome = match operation {
                Operation::Write(value) => write(&client, &service, value).await,
                Operation::Read(_) => read(&client, &service).await,
            };
            self.calls(register).end(call, outcome);
            if matches!(outcome, Outcome::Done(_)) {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn calls(&self, register: usize) -> MutexGuard<'_, Calls> {
        let calls = &self.calls[register];
        calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(register: usize) -> String {
    format!("register-{register}")
}

async fn write(client: &Client, service: &str, value: Value) -> Outcome {
    let Ok(mut ecs) = client.ecs().await else {
        return Outcome::Nothing;
    };
    let request = UpdateServiceRequest {
        service: Some(service.to_owned()),
        desired_count: i32::try_from(value).ok(),
        ..UpdateServiceRequest::default()
    };
    match ecs.update_service(request).await {
        Ok(_) => Outcome::Done(Operation::Write(value)),
        Err(status) if did_nothing(&status) => Outcome::Nothing,
        Err(_) => Outcome::Unknown,
    }
}

async fn read(client: &Client, service: &str) -> Outcome {
    let Ok(mut ecs) = client.ecs().await else {
        return Outcome::Nothing;
    };
    let request = DescribeServicesRequest {
        services: vec![service.to_owned()],
        ..DescribeServicesRequest::default()
    };
    let Ok(answer) = ecs.describe_services(request).await else {
        return Outcome::Nothing;
    };
    let described = answer.into_inner().services.into_iter().next();
    let value = described.and_then(|service| service.desired_count);
    match value.and_then(|value| Value::try_from(value).ok()) {
        Some(value) => Outcome::Done(Operation::Read(Some(value))),
        None => Outcome::Nothing,
    }
}
