//! Three servers as three processes: any one of them may be killed, and what was acknowledged stays.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use roadstead_tests::proto::ecs::CreateClusterRequest;
use roadstead_tests::{Client, Process, binaries, eventually};

const DEADLINE: Duration = Duration::from_secs(20);
const KILLS: usize = 4;
const WRITES: usize = 20;

struct Servers {
    processes: Vec<Process>,
    sockets: Vec<PathBuf>,
    client: Client,
}

impl Servers {
    fn start(directory: &Path) -> anyhow::Result<Self> {
        let sockets: Vec<PathBuf> = (1..=3)
            .map(|id| directory.join(format!("{id}.sock")))
            .collect();
        let members: Vec<String> = (1..)
            .zip(&sockets)
            .map(|(id, socket): (u32, _)| format!("{id}=unix:{}", socket.display()))
            .collect();
        let mut processes = Vec::new();
        for (id, socket) in (1..).zip(&sockets) {
            let id: u32 = id;
            let arguments = [
                "controlplane".to_owned(),
                format!("--id={id}"),
                format!("--data-dir={}", directory.join(id.to_string()).display()),
                format!("--listen=unix:{}", socket.display()),
                format!("--member={}", members.join(",")),
            ];
            processes.push(Process::start(
                &format!("server {id}"),
                &binaries::ctl(),
                arguments,
                directory.join(format!("{id}.log")),
            )?);
        }
        let paths: Vec<&Path> = sockets.iter().map(PathBuf::as_path).collect();
        let client = Client::of_any(&paths)?;
        Ok(Self {
            processes,
            sockets,
            client,
        })
    }

    async fn write(&self, name: &str) -> anyhow::Result<()> {
        eventually(DEADLINE, "a write", async || {
            let request = CreateClusterRequest {
                cluster_name: Some(name.to_owned()),
            };
            self.client.ecs().await?.create_cluster(request).await?;
            Ok(Some(()))
        })
        .await
    }

    /// Returns the index of the server that leads, as the one at `of` sees it.
    async fn leader(&self, of: usize) -> anyhow::Result<usize> {
        let client = Client::new(&self.sockets[of])?;
        eventually(DEADLINE, "a leader", async || {
            let members = client.members().await?;
            let leader = members.iter().position(|one| one.leader == Some(true));
            Ok(leader)
        })
        .await
    }
}

#[tokio::test]
async fn any_of_three_servers_may_be_killed() -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("rs3").tempdir()?;
    let mut servers = Servers::start(directory.path())?;
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        for index in 0..WRITES {
            let name = format!("round-{round}-write-{index}");
            servers.write(&name).await?;
            acknowledged.insert(name);
        }
        let leader = servers.leader(round % 3).await?;
        // The leader, and a follower every other time.
        let victim = (leader + round % 2) % 3;
        servers.processes[victim].kill()?;
        let name = format!("without-{victim}-in-{round}");
        let written = servers.write(&name).await;
        written.with_context(|| servers.processes[(victim + 1) % 3].log_tail())?;
        acknowledged.insert(name);
        servers.processes[victim].start_again()?;
        // It has caught up when it answers a linearizable read by itself.
        let alone = Client::new(&servers.sockets[victim])?;
        let found = eventually(DEADLINE, "the killed server", async || {
            Ok(alone.clusters().await.ok())
        })
        .await
        .with_context(|| servers.processes[victim].log_tail())?;
        let missing: Vec<_> = acknowledged.difference(&found).collect();
        assert!(missing.is_empty(), "acknowledged and gone: {missing:?}");
    }
    for process in &mut servers.processes {
        let status = process.terminate().await?;
        assert!(status.success(), "{status}: {}", process.log_tail());
    }
    Ok(())
}
