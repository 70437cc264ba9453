//! A load balancer that serves from a table file, without a control plane, before servers that a test starts itself.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;

use crate::{Process, binaries, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

/// Returns a table with one listener, all of whose requests go to one target on this host.
#[must_use]
pub fn table(port: u16, target: u16) -> String {
    format!(
        "[[listener]]\nport = {port}\n[[listener.rule]]\nforward = \"origin\"\n\n[[target_group]]\nname = \"origin\"\n\
         targets = [\"127.0.0.1:{target}\"]\nhealth_check = false\n"
    )
}

/// Starts a load balancer with this table and these flags; returns when it listens on `port`.
///
/// # Errors
/// Fails when it does not listen in time.
pub async fn start(
    folder: &Path,
    port: u16,
    table: &str,
    flags: &[&str],
) -> anyhow::Result<Process> {
    let file = folder.join("table.toml");
    fs::write(&file, table).with_context(|| format!("cannot write {}", file.display()))?;
    let arguments = ["lb", "--bind", "127.0.0.1"].iter().chain(flags);
    let mut arguments: Vec<OsString> = arguments.map(Into::into).collect();
    arguments.extend(["--table".into(), file.into_os_string()]);
    let mut process = Process::start("lb", &binaries::ctl(), arguments, folder.join("lb.log"))?;
    listening(&mut process, port).await?;
    Ok(process)
}

/// Waits until a process listens.
///
/// # Errors
/// Fails when it ends, or does not listen in time.
pub async fn listening(process: &mut Process, port: u16) -> anyhow::Result<()> {
    eventually(DEADLINE, "it listens", async || {
        process.check_running()?;
        Ok(TcpStream::connect(("127.0.0.1", port)).await.ok())
    })
    .await?;
    Ok(())
}
