//! `ctl task logs`

use std::error::Error as _;
use std::io::Write as _;

use roadstead_client::proto::console::{LogChunk, TaskLogsRequest};
use roadstead_client::proto::ecs::{Container, Task};
use tonic::{Status, Streaming};

use crate::connection::{Connection, is_final};
use crate::error::Error;
use crate::output::Format;

const LOST: &str = "the connection to the control plane was lost";

#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// Id or ARN of the task.
    task: String,
    /// Go on with what is written from now on.
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last so many lines.
    #[arg(long, value_name = "LINES")]
    tail: Option<i32>,
    /// Which container; may be left out when the task has only one.
    #[arg(long)]
    container: Option<String>,
}

/// Prints the log, oldest line first, to its end or until the user interrupts; with `-o json` as one
/// object for each line.
pub(super) async fn run(connection: &Connection, logs: Logs) -> Result<(), Error> {
    let task = logs.task.clone();
    let request = TaskLogsRequest {
        cluster: connection.cluster.clone(),
        task: Some(logs.task),
        container: logs.container,
        follow: Some(logs.follow),
        tail: logs.tail,
    };
    let stream = connection
        .console(async |mut console| console.task_logs(request.clone()).await)
        .await?;
    print(stream, task.clone(), connection.format).await?;
    if request.follow == Some(true) {
        ended(connection, task, request.container.as_deref()).await?;
    }
    Ok(())
}

/// A log that is followed ends with its container. A server or an agent that stops in good order ends the
/// stream too, and that is not the end of the log.
async fn ended(
    connection: &Connection,
    task: String,
    container: Option<&str>,
) -> Result<(), Error> {
    match super::describe(connection, vec![task.clone()]).await {
        Ok(described) if described.tasks.iter().any(|one| runs(one, container)) => {
            let reason = "the control plane or the agent has stopped sending it".to_owned();
            Err(Error::LogBrokeOff { task, reason })
        }
        Ok(_) => Ok(()),
        Err(Error::Unreachable(_) | Error::NotReady(_) | Error::Deadline(_)) => {
            let reason = LOST.to_owned();
            Err(Error::LogBrokeOff { task, reason })
        }
        Err(other) => Err(other),
    }
}

/// Tells whether more may come of a container's log; a task with one container needs no name.
fn runs(task: &Task, container: Option<&str>) -> bool {
    let meant = |one: &&Container| container.is_none() || one.name.as_deref() == container;
    task.last_status.as_deref() != Some("STOPPED")
        && task
            .containers
            .iter()
            .filter(meant)
            .any(|one| one.last_status.as_deref() != Some("STOPPED"))
}

async fn print(mut stream: Streaming<LogChunk>, task: String, format: Format) -> Result<(), Error> {
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => write(&chunk, format)?,
            Ok(None) => return Ok(()),
            Err(status) if is_final(&status) => return Err(status.into()),
            Err(status) => return Err(broke_off(task, &status)),
        }
    }
}

/// Says what happened; the lines until then are out. Following on is left to the user, because the new
/// stream would begin somewhere else in the log.
fn broke_off(task: String, status: &Status) -> Error {
    // What the transport says of itself means nothing to who reads a log.
    let reason = if status.source().is_some() {
        LOST.to_owned()
    } else {
        status.message().to_owned()
    };
    Error::LogBrokeOff { task, reason }
}

fn write(chunk: &LogChunk, format: Format) -> Result<(), Error> {
    let text = match format {
        Format::Json => serde_json::to_string(chunk)?,
        Format::Table => chunk.message.clone().unwrap_or_default(),
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", text.trim_end_matches('\n'))?;
    // A follower sees each line when it is written.
    stdout.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::fake::{Script, Server};

    fn server(log: Vec<Result<LogChunk, Status>>) -> (tempfile::TempDir, Server, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let script = Script {
            log,
            ..Script::default()
        };
        let (server, connection) = Server::start(folder.path(), script);
        (folder, server, connection)
    }

    async fn open(connection: &Connection) -> Streaming<LogChunk> {
        let request = TaskLogsRequest::default();
        connection
            .console(async |mut console| console.task_logs(request.clone()).await)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_server_that_goes_away_in_mid_log_is_told_with_what_to_do() {
        let (_folder, server, connection) = server(vec![Ok(LogChunk::default())]);
        let mut stream = open(&connection).await;
        stream.message().await.unwrap();
        drop(server);
        let printed = print(stream, "0af1".into(), Format::Json).await;
        let error = printed.unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.report().unwrap(),
            "error: the log of task 0af1 broke off: the connection to the control plane was lost\n\
             hint: the task itself is not affected; go on with `ctl task logs -f --tail 20 0af1` when the control plane is up again"
        );
    }

    #[test]
    fn a_log_is_at_its_end_when_its_container_is() {
        let container = |name: &str, status: &str| Container {
            name: Some(name.into()),
            last_status: Some(status.into()),
            ..Container::default()
        };
        let task = |status: &str| Task {
            last_status: Some(status.into()),
            containers: vec![container("web", "RUNNING"), container("side", "STOPPED")],
            ..Task::default()
        };
        assert!(runs(&task("RUNNING"), Some("web")));
        assert!(!runs(&task("RUNNING"), Some("side")));
        assert!(!runs(&task("STOPPED"), Some("web")));
    }

    #[tokio::test]
    async fn a_stream_that_ends_with_its_server_is_not_the_end_of_the_log() {
        let (_folder, server, connection) = server(Vec::new());
        drop(server);
        let error = ended(&connection, "0af1".into(), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the log of task 0af1 broke off: the connection to the control plane was lost"
        );
    }

    #[tokio::test]
    async fn what_the_agent_says_is_the_reason() {
        let moved = Status::unavailable("this server no longer leads");
        let (_folder, _server, connection) = server(vec![Err(moved)]);
        let printed = print(open(&connection).await, "0af1".into(), Format::Json).await;
        let error = printed.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the log of task 0af1 broke off: this server no longer leads"
        );
        let unknown = Status::not_found("this container instance has no log of such a container");
        let (_folder, _server, connection) = server(vec![Err(unknown)]);
        let printed = print(open(&connection).await, "0af1".into(), Format::Json).await;
        let error = printed.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
}
