//! The bare tool to compare with: `ctr run -d` on the agent's own containerd, in another namespace.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use roadstead_tests::{Cluster, binaries, sample};

const NAMESPACE: &str = "bench";
const IMAGE: &str = "sample:v1";

/// A way to start containers without Roadstead.
#[derive(Debug)]
pub(crate) struct Ctr {
    socket: PathBuf,
}

impl Ctr {
    /// Imports the sample image for it.
    pub(crate) fn new(cluster: &Cluster) -> anyhow::Result<Self> {
        let ctr = Self {
            socket: cluster.containerd_socket(),
        };
        let binary = std::fs::read(binaries::sample_service())?;
        let archive = cluster.directory().join("bench.tar");
        std::fs::write(&archive, sample::image("v1", &binary)?.archive()?)?;
        ctr.run(&["images", "import", &archive.display().to_string()])?;
        Ok(ctr)
    }

    /// Starts so many containers at once; returns how long it took until all of them ran, and removes them.
    pub(crate) fn start(&self, count: usize) -> anyhow::Result<Duration> {
        let names: Vec<String> = (0..count).map(|number| format!("bare-{number}")).collect();
        let begun = Instant::now();
        let starting: Vec<Child> = names
            .iter()
            .map(|name| self.command(&["run", "-d", IMAGE, name]).spawn())
            .collect::<Result<_, _>>()?;
        for mut child in starting {
            ensure!(child.wait()?.success(), "ctr run failed");
        }
        let took = begun.elapsed();
        for name in &names {
            self.run(&["task", "rm", "--force", name])?;
            self.run(&["containers", "rm", name])?;
        }
        Ok(took)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        // It warns of each container that was killed, which all of these are.
        let output = self.command(arguments).output().context("cannot run ctr")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "ctr {} failed: {errors}",
            arguments.join(" ")
        );
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", NAMESPACE])
            .args(arguments)
            .stdout(Stdio::null());
        command
    }
}
