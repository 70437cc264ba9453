//! Answers a request for a log: pushes its lines to the control plane, and follows it if asked to.

use std::path::PathBuf;
use std::time::Duration;

use roadstead_client::proto::agent::agent_session_client::AgentSessionClient;
use roadstead_client::proto::agent::{LogPush, OpenLogs, TaskReport};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tracing::debug;

use crate::logs::{Line, Reader};
use crate::reason::chain;
use crate::records::{RecordError, Records};
use crate::task::{Task, TaskId};

/// Lines on their way: bounds what a slow reader costs.
const QUEUE: usize = 64;
const LOOK: Duration = Duration::from_millis(200);
/// The logger has written the last line of a container that stopped so long ago.
const SETTLED: Duration = Duration::from_secs(1);

/// One request for a log.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) client: AgentSessionClient<Channel>,
    pub(super) records: Records,
    pub(super) report: watch::Receiver<TaskReport>,
    pub(super) request: OpenLogs,
}

/// Nobody takes lines any more.
struct HungUp;

impl Push {
    pub(super) async fn run(self) {
        // The record, not the report: it outlives the task, and so can the log be read.
        let (records, request) = (self.records.clone(), self.request.clone());
        let found = tokio::task::spawn_blocking(move || find(&records, &request)).await;
        match found {
            Ok(Ok(Some(directory))) => {
                let (report, request) = (self.report.clone(), self.request.clone());
                let reading = |send| read(send, directory, report, request);
                push(self.client, self.request, reading).await;
            }
            Ok(Ok(None)) => {
                self.refuse("this container instance has no log of such a container")
                    .await;
            }
            Ok(Err(error)) => self.refuse(&chain(&error)).await,
            Err(error) => self.refuse(&chain(&error)).await,
        }
    }

    pub(super) async fn refuse(self, reason: &str) {
        let error = LogPush {
            request_id: self.request.request_id.clone(),
            error: reason.to_owned(),
            ..LogPush::default()
        };
        push(
            self.client,
            self.request,
            |send: mpsc::Sender<LogPush>| async move {
                // Nobody to tell, if that fails.
                let _ = send.send(error).await;
            },
        )
        .await;
    }
}

/// Streams what `produce` sends, until either side ends.
async fn push<F>(
    mut client: AgentSessionClient<Channel>,
    request: OpenLogs,
    produce: impl FnOnce(mpsc::Sender<LogPush>) -> F,
) where
    F: Future<Output = ()>,
{
    let (send, receive) = mpsc::channel(QUEUE);
    let pushed = client.push_logs(ReceiverStream::new(receive));
    let producing = produce(send);
    let mut pushed = std::pin::pin!(pushed);
    let result = tokio::select! {
        result = &mut pushed => result,
        () = producing => pushed.await,
    };
    if let Err(status) = result {
        debug!(
            request = request.request_id,
            error = chain(&status),
            "a log is not read any more"
        );
    }
}

/// Sends the log: first a chunk with the request's id alone, so that also an empty log answers.
async fn read(
    send: mpsc::Sender<LogPush>,
    directory: PathBuf,
    mut report: watch::Receiver<TaskReport>,
    request: OpenLogs,
) {
    let hello = LogPush {
        request_id: request.request_id.clone(),
        ..LogPush::default()
    };
    if send.send(hello).await.is_err() {
        return;
    }
    let tail = usize::try_from(request.tail).unwrap_or(usize::MAX);
    let opened = blocking(move || Reader::open(&directory, tail)).await;
    let mut reader = match opened {
        Ok(reader) => reader,
        Err(error) => return fail(&send, &error).await,
    };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped_since = None;
    loop {
        let stopped = has_stopped(&report.borrow_and_update(), &request);
        let since = stopped.then(|| *stopped_since.get_or_insert_with(Instant::now));
        let (back, drained) = match drain(reader, &send).await {
            Ok(Ok(read)) => read,
            Ok(Err(HungUp)) => return,
            Err(error) => return fail(&send, &error).await,
        };
        reader = back;
        let settled = since.is_some_and(|since| since.elapsed() >= SETTLED);
        if !request.follow || (drained && settled) {
            return;
        }
        tokio::select! {
            _ = look.tick() => {}
            () = send.closed() => return,
        }
    }
}

/// Sends everything that is there; returns the reader, and whether there was nothing.
async fn drain(
    mut reader: Reader,
    send: &mpsc::Sender<LogPush>,
) -> std::io::Result<Result<(Reader, bool), HungUp>> {
    let mut drained = true;
    loop {
        let (back, lines) = blocking(move || {
            let lines = reader.batch()?;
            Ok((reader, lines))
        })
        .await?;
        reader = back;
        if lines.is_empty() {
            return Ok(Ok((reader, drained)));
        }
        drained = false;
        for line in lines {
            if send.send(chunk(line)).await.is_err() {
                return Ok(Err(HungUp));
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.into()))
}

async fn fail(send: &mpsc::Sender<LogPush>, error: &std::io::Error) {
    let chunk = LogPush {
        error: format!("the log cannot be read: {error}"),
        ..LogPush::default()
    };
    // Nobody to tell, if that fails.
    let _ = send.send(chunk).await;
}

fn chunk(line: Line) -> LogPush {
    LogPush {
        stream: line.stream.name().to_owned(),
        timestamp: line.timestamp,
        message: line.text,
        ..LogPush::default()
    }
}

/// Returns the directory of the log that a request means.
fn find(records: &Records, request: &OpenLogs) -> Result<Option<PathBuf>, RecordError> {
    let Some(id) = TaskId::parse(&request.task_id) else {
        return Ok(None);
    };
    let task = records.find(&id)?;
    let index = task.and_then(|task| container(&task, &request.container));
    Ok(index.map(|index| records.container(&id, index)))
}

/// Returns the container with a name, which may be left out when there is only one.
fn container(task: &Task, name: &str) -> Option<usize> {
    let mut containers = task.containers.iter();
    match name {
        "" if task.containers.len() == 1 => Some(0),
        name => containers.position(|container| container.name() == name),
    }
}

fn has_stopped(report: &TaskReport, request: &OpenLogs) -> bool {
    let task = report.tasks.iter().find(|t| t.task_id == request.task_id);
    let Some(task) = task else {
        return true;
    };
    let meant = |name: &str| request.container.is_empty() || request.container == name;
    let mut meant = task.containers.iter().filter(|c| meant(&c.name));
    meant.all(|container| container.last_status == "STOPPED")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixture::task;
    use roadstead_client::proto::agent::{ObservedContainer, ObservedTask};

    fn report(containers: &[(&str, &str)]) -> TaskReport {
        let containers = containers.iter().map(|(name, status)| ObservedContainer {
            name: (*name).to_owned(),
            last_status: (*status).to_owned(),
            ..ObservedContainer::default()
        });
        TaskReport {
            tasks: vec![ObservedTask {
                task_id: "a1".into(),
                containers: containers.collect(),
                ..ObservedTask::default()
            }],
        }
    }

    fn request(task: &str, container: &str) -> OpenLogs {
        OpenLogs {
            task_id: task.into(),
            container: container.into(),
            ..OpenLogs::default()
        }
    }

    #[test]
    fn a_container_is_found_by_name_or_by_being_the_only_one() {
        let two = task("a1", &["web", "side"]);
        assert_eq!(container(&two, "side"), Some(1));
        assert_eq!(container(&two, ""), None);
        assert_eq!(container(&two, "other"), None);
        assert_eq!(container(&task("a1", &["web"]), ""), Some(0));
    }

    #[test]
    fn the_log_of_a_task_that_is_not_reported_any_more_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().to_owned()).unwrap();
        records.keep(&task("a1", &["web"])).unwrap();
        let of = |id| find(&records, &request(id, "web")).unwrap();
        assert_eq!(of("a1"), Some(directory.path().join("a1/0")));
        assert_eq!(of("b2"), None);
        assert_eq!(of("../a1"), None);
    }

    #[test]
    fn a_log_ends_with_its_container_or_its_task() {
        let two = report(&[("web", "RUNNING"), ("side", "STOPPED")]);
        assert!(!has_stopped(&two, &request("a1", "web")));
        assert!(has_stopped(&two, &request("a1", "side")));
        assert!(has_stopped(&two, &request("gone", "web")));
    }
}
