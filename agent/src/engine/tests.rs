//! The engine on the fake runtime, with the clock of the tests.

use super::*;
use crate::runtime::Exit;
use crate::runtime::fake::{Behaviour, Fake};
use crate::task::fixture::desired;
use roadstead_client::proto::agent::ObservedTask;
use tokio::task::JoinHandle;

struct Bench {
    fake: Fake,
    directory: tempfile::TempDir,
    desired: watch::Sender<Desired>,
    report: watch::Receiver<TaskReport>,
    engine: JoinHandle<()>,
}

const HOUR: Duration = Duration::from_secs(3600);

async fn engine(fake: &Fake, directory: &tempfile::TempDir, retention: Duration) -> Engine<Fake> {
    let records = Records::open(directory.path().to_owned()).unwrap();
    let pool = Pool::new("10.0.0.0/24".parse().unwrap(), 49_153..=65_535, &[], 0);
    let runtime = Arc::new(fake.clone());
    let settings = plan::Settings {
        stop_timeout: Duration::from_secs(30),
        stopped_task_retention: retention,
    };
    Engine::restore(runtime, records, pool, settings)
        .await
        .unwrap()
}

impl Bench {
    async fn start(fake: Fake, directory: tempfile::TempDir, retention: Duration) -> Self {
        let engine = engine(&fake, &directory, retention).await;
        let (desired, wanted) = watch::channel(None);
        let (send, report) = watch::channel(TaskReport::default());
        let engine = tokio::spawn(async move {
            engine.run(wanted, &send, &CancellationToken::new()).await;
        });
        Self {
            fake,
            directory,
            desired,
            report,
            engine,
        }
    }

    async fn new() -> Self {
        Self::start(Fake::default(), tempfile::tempdir().unwrap(), HOUR).await
    }

    fn desire(&self, tasks: Vec<DesiredTask>) {
        self.desired.send_replace(Some(Arc::new(tasks)));
    }

    async fn reports(&mut self, what: impl Fn(&[ObservedTask]) -> bool) -> Vec<ObservedTask> {
        let waiting = self.report.wait_for(|report| what(&report.tasks));
        let found = tokio::time::timeout(Duration::from_secs(600), waiting).await;
        found.expect("it is reported").unwrap().tasks.clone()
    }

    async fn status(&mut self, status: &str) -> ObservedTask {
        let one = |tasks: &[ObservedTask]| matches!(tasks, [t] if t.last_status == status);
        self.reports(one).await.remove(0)
    }

    /// Ends the engine in the middle of whatever it does, and starts another one.
    async fn killed_and_restarted(self) -> Self {
        self.killed_and_restarted_with(HOUR).await
    }

    async fn killed_and_restarted_with(self, retention: Duration) -> Self {
        self.engine.abort();
        // Cancelled is what it should be.
        let _ = self.engine.await;
        let desired = self.desired.borrow().clone();
        let next = Self::start(self.fake, self.directory, retention).await;
        next.desired.send_replace(desired);
        next
    }
}

fn stopped(task: DesiredTask) -> DesiredTask {
    DesiredTask {
        desired_status: "STOPPED".into(),
        ..task
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_lives_from_its_start_to_its_removal() {
    let mut bench = Bench::new().await;
    bench.desire(vec![desired("a1", &["web", "side"])]);
    bench.status("RUNNING").await;
    bench.desire(vec![stopped(desired("a1", &["web", "side"]))]);
    let task = bench.status("STOPPED").await;
    assert_eq!(task.containers[0].exit_code, Some(143));
    bench.desire(vec![]);
    bench.reports(<[_]>::is_empty).await;
    assert!(bench.fake.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_failed_keeps_its_record_until_it_is_forgotten() {
    let mut bench = Bench::new().await;
    let failing = Behaviour {
        exits: Some((Duration::from_secs(1), Exit::Vanished)),
        ..Behaviour::default()
    };
    bench.fake.behave("web", failing);
    bench.desire(vec![desired("a1", &["web"])]);
    bench.status("STOPPED").await;
    bench.desire(vec![]);
    bench.reports(<[_]>::is_empty).await;
    let record = bench.directory.path().join("a1/record.json");
    assert!(record.exists());

    bench.desire(vec![stopped(desired("a1", &["web"]))]);
    bench.status("STOPPED").await;
    bench.desire(vec![]);
    bench.reports(<[_]>::is_empty).await;

    let mut bench = bench.killed_and_restarted_with(Duration::ZERO).await;
    bench.desire(vec![desired("b2", &["other"])]);
    bench.status("RUNNING").await;
    assert!(!record.exists(), "nobody has forgotten it");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ignores_the_signal_is_killed_after_its_time() {
    let mut bench = Bench::new().await;
    let deaf = Behaviour {
        ignores_stop_signal: true,
        ..Behaviour::default()
    };
    bench.fake.behave("deaf", deaf);
    bench.desire(vec![desired("a1", &["deaf"])]);
    bench.status("RUNNING").await;
    let asked = Instant::now();
    bench.desire(vec![stopped(desired("a1", &["deaf"]))]);
    let task = bench.status("STOPPED").await;
    assert_eq!(task.containers[0].exit_code, Some(137));
    assert!(asked.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_killed_agent_s_containers_are_adopted_and_run_once() {
    let mut bench = Bench::new().await;
    bench.desire(vec![desired("a1", &["web"])]);
    bench.status("RUNNING").await;
    let mut bench = bench.killed_and_restarted().await;
    bench.status("RUNNING").await;
    assert_eq!(bench.fake.launches(), 1);
    let container = bench.fake.running().remove(0);
    let exit = Exit::Code {
        code: 7,
        out_of_memory: false,
    };
    bench.fake.exit(&container, exit);
    let task = bench.status("STOPPED").await;
    assert_eq!(task.containers[0].exit_code, Some(7));
}

#[tokio::test(start_paused = true)]
async fn an_agent_killed_in_mid_launch_launches_once_more_at_most() {
    let mut bench = Bench::new().await;
    let slow = Behaviour {
        start_takes: Duration::from_secs(5),
        ..Behaviour::default()
    };
    bench.fake.behave("slow", slow);
    bench.desire(vec![desired("a1", &["slow"])]);
    let begun = |tasks: &[ObservedTask]| tasks.iter().any(|t| t.pull_stopped_at > 0);
    bench.reports(begun).await;
    let mut bench = bench.killed_and_restarted().await;
    bench.status("RUNNING").await;
    assert_eq!(bench.fake.launches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_delays_and_fails_nothing() {
    let mut bench = Bench::new().await;
    bench.fake.reachable(false);
    bench.desire(vec![desired("a1", &["web"])]);
    bench.status("PENDING").await;
    let fake = bench.fake.clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        fake.reachable(true);
    });
    let task = bench.status("RUNNING").await;
    assert_eq!(task.stopped_reason, "");
    later.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_told_in_the_words_of_ecs() {
    let mut bench = Bench::new().await;
    for (image, behaviour, reason) in [
        (
            "unknown",
            Behaviour {
                pull_error: Some("manifest unknown".into()),
                ..Behaviour::default()
            },
            "CannotPullContainerError: manifest unknown",
        ),
        (
            "broken",
            Behaviour {
                start_error: Some("no such file".into()),
                ..Behaviour::default()
            },
            "CannotStartContainerError: no such file",
        ),
    ] {
        bench.fake.behave(image, behaviour);
        bench.desire(vec![desired(image, &[image])]);
        let task = bench.status("STOPPED").await;
        assert_eq!(task.stop_code, "TaskFailedToStart");
        assert_eq!(task.stopped_reason, reason);
        bench.desire(vec![]);
        bench.reports(<[_]>::is_empty).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_tasks_never_share_a_port() {
    let mut bench = Bench::new().await;
    let with_port = |id: &str| {
        let mut desired = desired(id, &["web"]);
        desired.network_mode = "bridge".into();
        desired.containers[0].port_mappings = vec![roadstead_client::proto::ecs::PortMapping {
            container_port: Some(80),
            ..Default::default()
        }];
        desired
    };
    bench.desire(vec![with_port("a1"), with_port("b2")]);
    let running = |tasks: &[ObservedTask]| {
        tasks.len() == 2 && tasks.iter().all(|t| t.last_status == "RUNNING")
    };
    let tasks = bench.reports(running).await;
    let ports: BTreeSet<u32> = tasks
        .iter()
        .map(|task| task.containers[0].port_bindings[0].host_port)
        .collect();
    assert_eq!(ports.len(), 2);
}
