//! `ctl task logs`

use std::io::Write as _;

use roadstead_client::proto::console::{LogChunk, TaskLogsRequest};

use crate::connection::Connection;
use crate::error::Error;
use crate::output::Format;

#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
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
    let request = TaskLogsRequest {
        cluster: connection.cluster.clone(),
        task: Some(logs.task),
        container: logs.container,
        follow: Some(logs.follow),
        tail: logs.tail,
    };
    let mut stream = connection
        .console(async |mut console| console.task_logs(request.clone()).await)
        .await?;
    while let Some(chunk) = stream.message().await? {
        write(&chunk, connection.format)?;
    }
    Ok(())
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
