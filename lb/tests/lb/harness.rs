//! Starts a load balancer with everything around it, and waits for conditions instead of times.

mod backend;
mod client;
mod control_plane;
pub(crate) mod frames;
pub(crate) mod http2;
mod load;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use roadstead_lb::{Config, LbError, Source, run_observed};
use roadstead_proto::lb;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use backend::{Backend, body_of, request, text};
pub(crate) use client::{Connection, get};
pub(crate) use control_plane::FakeControlPlane;
pub(crate) use http2::Http2;
pub(crate) use load::Load;
pub(crate) use tls::{Authority, TlsClient, acceptor, certificate, https};

/// No condition of these tests takes a second; a slow machine may need more.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("what the test waits for must come")
}

/// A load balancer, its control plane and its data directory.
pub(crate) struct Lb {
    pub(crate) control_plane: FakeControlPlane,
    pub(crate) address: SocketAddr,
    pub(crate) data_dir: TempDir,
    pub(crate) reports: watch::Receiver<lb::NodeReport>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), LbError>>,
    table: lb::Table,
}

impl Lb {
    /// Starts one with a listener and the target group `web`, and waits until it listens.
    pub(crate) async fn start(targets: &[lb::Target]) -> Self {
        Self::start_with(targets, |_config| {}).await
    }

    pub(crate) async fn start_with(
        targets: &[lb::Target],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let control_plane = FakeControlPlane::start(data_dir.path());
        let address = free_address();
        let mut config = config(data_dir.path());
        change(&mut config);
        let table = table(address.port(), targets);
        control_plane.send(table.clone());
        let (reports, stop, task) = spawn(config, control_plane.source());
        let mut lb = Self {
            control_plane,
            address,
            data_dir,
            reports,
            stop,
            task,
            table,
        };
        lb.until(|report| report.table_revision == 1).await;
        lb
    }

    /// Sends the next table; returns its revision.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut lb::Table)) -> u64 {
        change(&mut self.table);
        self.table.revision += 1;
        self.control_plane.send(self.table.clone());
        self.table.revision
    }

    /// Replaces the targets of `web` and waits until that is in force.
    pub(crate) async fn retarget(&mut self, targets: &[lb::Target]) {
        let revision = self.change(|table| table.target_groups[0].targets = targets.to_vec());
        self.until(|report| report.table_revision >= revision).await;
    }

    /// Has every request answered with 200, and no target asked, and waits until that is in force.
    pub(crate) async fn answer_itself(&mut self) {
        let response = lb::FixedResponse {
            status_code: 200,
            ..lb::FixedResponse::default()
        };
        let only = lb::Rule {
            fixed_response: Some(response),
            ..lb::Rule::default()
        };
        let revision = self.change(|table| table.listeners[0].rules = vec![only]);
        self.until(|report| report.table_revision == revision).await;
    }

    /// Waits for a report, as the control plane gets it.
    pub(crate) async fn until(
        &mut self,
        condition: impl Fn(&lb::NodeReport) -> bool,
    ) -> lb::NodeReport {
        let mut reports = self.control_plane.reports();
        within(reports.wait_for(condition)).await.unwrap().clone()
    }

    pub(crate) async fn until_state(&mut self, target: &str, state: &str) -> lb::TargetReport {
        let is_it = |report: &lb::TargetReport| report.target_id == target && report.state == state;
        let report = self.until(|report| report.targets.iter().any(is_it)).await;
        report.targets.into_iter().find(is_it).unwrap()
    }

    /// Waits until the counts of deployment `d1` are these: served, retried, failed, cut.
    pub(crate) async fn until_counts(&mut self, expected: [u64; 4]) {
        let counts = |report: &lb::NodeReport| {
            let found = report
                .counts
                .iter()
                .find(|counts| counts.deployment == "d1");
            found.map(|counts| [counts.served, counts.retried, counts.failed, counts.cut])
        };
        let mut reports = self.control_plane.reports();
        let waited = reports.wait_for(|report| counts(report) == Some(expected));
        let waited = tokio::time::timeout(DEADLINE, waited).await.is_ok();
        assert!(
            waited,
            "{expected:?} are expected, {:?} are there",
            counts(&reports.borrow())
        );
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }
}

pub(crate) fn spawn(
    config: Config,
    source: Source,
) -> (
    watch::Receiver<lb::NodeReport>,
    CancellationToken,
    JoinHandle<Result<(), LbError>>,
) {
    let reports = watch::Sender::default();
    let seen = reports.subscribe();
    let stop = CancellationToken::new();
    let task = tokio::spawn(run_observed(config, source, reports, stop.clone()));
    (seen, stop, task)
}

pub(crate) fn config(data_dir: &std::path::Path) -> Config {
    Config {
        data_dir: data_dir.join("lb"),
        bind: [127, 0, 0, 1].into(),
        workers: 2,
        // At once, so that every test that asks twice is a test of this too.
        park_after: Duration::from_millis(1),
        ..Config::default()
    }
}

/// Returns an address on which nobody listens: below those that the kernel gives to connections, one of which could take it
/// from a load balancer that starts again.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let port = rand::random_range(20_000..32_000);
        let socket = std::net::TcpListener::bind(("127.0.0.1", port));
        if let Ok(socket) = socket {
            return socket.local_addr().unwrap();
        }
    }
}

pub(crate) fn target(id: &str, address: SocketAddr) -> lb::Target {
    lb::Target {
        target_id: id.to_owned(),
        address: address.ip().to_string(),
        port: address.port().into(),
        ..lb::Target::default()
    }
}

/// Returns the target as it leaves, with so long for what is under way.
pub(crate) fn draining(target: &lb::Target, delay: Duration) -> lb::Target {
    let deadline = std::time::SystemTime::now() + delay;
    let since = deadline.duration_since(std::time::UNIX_EPOCH).unwrap();
    lb::Target {
        draining: true,
        drain_deadline: i64::try_from(since.as_millis()).unwrap(),
        ..target.clone()
    }
}

pub(crate) fn group(name: &str, targets: &[lb::Target]) -> lb::TargetGroup {
    lb::TargetGroup {
        target_group_arn: name.to_owned(),
        health_check: None,
        deployment: "d1".to_owned(),
        targets: targets.to_vec(),
        ..lb::TargetGroup::default()
    }
}

pub(crate) fn rule(hosts: &[&str], paths: &[&str], forward: &[(&str, u32)]) -> lb::Rule {
    let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let forward = forward
        .iter()
        .map(|(group, weight)| lb::WeightedTargetGroup {
            target_group_arn: (*group).to_owned(),
            weight: *weight,
        });
    lb::Rule {
        host_patterns: strings(hosts),
        path_patterns: strings(paths),
        forward: forward.collect(),
        ..lb::Rule::default()
    }
}

pub(crate) fn listener(port: u16) -> lb::Listener {
    lb::Listener {
        listener_arn: format!("listener/{port}"),
        port: port.into(),
        protocol: "HTTP".to_owned(),
        rules: vec![rule(&[], &[], &[("web", 1)])],
        ..lb::Listener::default()
    }
}

pub(crate) fn table(port: u16, targets: &[lb::Target]) -> lb::Table {
    lb::Table {
        revision: 1,
        control_plane_id: "cp".to_owned(),
        listeners: vec![listener(port)],
        target_groups: vec![group("web", targets)],
        servers: Vec::new(),
        certificates: Vec::new(),
    }
}
