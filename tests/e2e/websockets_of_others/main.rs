//! WebSockets of two independent libraries pass through the load balancer: `websockets` (Python) and `ws` (Node.js), each as client and as
//! server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use roadstead_tests::web::free_port;
use roadstead_tests::{Process, front};
use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// A program, and what it runs.
type Peer = (&'static str, &'static str);

const PYTHON: &str = "/usr/bin/python3";
const NODE: &str = "node";
const PYTHON_SERVER: Peer = (PYTHON, include_str!("server.py"));
const PYTHON_CLIENT: Peer = (PYTHON, include_str!("client.py"));
const NODE_SERVER: Peer = (NODE, include_str!("server.js"));
const NODE_CLIENT: Peer = (NODE, include_str!("client.js"));

fn script(folder: &Path, name: &str, (_, text): Peer) -> anyhow::Result<std::path::PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    Ok(file)
}

/// The client sends texts and bytes of many lengths, pings, and closes with a code of its own; the server sends each back.
async fn talk(server: Peer, client: Peer) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (target, port) = (free_port()?, free_port()?);
    let arguments = [
        script(folder, "server", server)?.into_os_string(),
        target.to_string().into(),
    ];
    let log = folder.join("server.log");
    let mut origin = Process::start("server", Path::new(server.0), arguments, log)?;
    front::listening(&mut origin, target).await?;
    let _front = front::start(folder, port, &front::table(port, target), &[]).await?;
    let file = script(folder, "client", client)?;
    let mut command = Command::new(client.0);
    command.arg(file).arg(port.to_string()).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await??;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        origin.log_tail()
    );
    ensure!(output.stdout == b"all came back\n", "{output:?}");
    Ok(())
}

#[tokio::test]
async fn from_python_to_node() -> anyhow::Result<()> {
    talk(NODE_SERVER, PYTHON_CLIENT).await
}

#[tokio::test]
async fn from_node_to_python() -> anyhow::Result<()> {
    talk(PYTHON_SERVER, NODE_CLIENT).await
}
