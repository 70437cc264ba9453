//! A load balancer that serves from a table file, without a control plane, before servers that a test starts itself.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;

use crate::http::{self, Url};
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

/// Makes a certificate for `localhost` in the folder, and returns what of a table names it `own`.
///
/// # Errors
/// Fails when a file cannot be written.
pub fn own_certificate(folder: &Path) -> anyhow::Result<String> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(folder.join("own.pem"), made.cert.pem())?;
    fs::write(folder.join("own.key"), made.signing_key.serialize_pem())?;
    let table = "[[certificate]]\nname = \"own\"\nchain = \"own.pem\"\nkey = \"own.key\"\n";
    Ok(table.to_owned())
}

/// Returns how many client connections a load balancer has, by its metrics.
///
/// # Errors
/// Fails when the page does not say so.
pub async fn connections(metrics: &Url) -> anyhow::Result<usize> {
    let page = http::get(metrics, DEADLINE).await?.text();
    let mut lines = page.lines();
    let open = lines.find_map(|line| line.strip_prefix("roadstead_lb_connections "));
    Ok(open.context("there is such a metric")?.parse()?)
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
