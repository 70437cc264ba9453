//! What can happen to a host: its cable, its disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use super::host::Host;
use super::network;
use crate::cluster::Role;
use crate::eventually;

/// The size of a server's own file system: a log needs little.
const DISK_MIB: u64 = 128;
const BALLAST: &str = "ballast";
const ATTACH_DEADLINE: Duration = Duration::from_secs(10);

/// A disk that is slow for as long as this is held.
#[derive(Debug)]
pub struct SlowDisk(Child);

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // SIGTERM lets strace detach in order; killed, it would leave calls half done.
        let pid = self.0.id().to_string();
        Command::new("kill").arg(pid).status().ok();
        self.0.wait().ok();
    }
}

impl Host {
    /// Cuts the host off from all others.
    ///
    /// # Errors
    /// Fails when its link cannot be set down.
    pub fn cut_off(&self) -> anyhow::Result<()> {
        network::connect(self.namespace(), false)
    }

    /// Lets nothing that others send reach the host; they still hear it.
    ///
    /// # Errors
    /// Fails when the firewall refuses.
    pub fn deafen(&self) -> anyhow::Result<()> {
        network::drop_packets(self.namespace(), "input")
    }

    /// Lets nothing that the host sends reach others; it still hears them.
    ///
    /// # Errors
    /// Fails when the firewall refuses.
    pub fn mute(&self) -> anyhow::Result<()> {
        network::drop_packets(self.namespace(), "output")
    }

    /// Undoes [`Host::cut_off`], [`Host::deafen`] and [`Host::mute`].
    ///
    /// # Errors
    /// Fails when its link cannot be set up.
    pub fn heal(&self) -> anyhow::Result<()> {
        network::drop_nothing(self.namespace())?;
        network::connect(self.namespace(), true)
    }

    /// Gives the server of this host a file system of its own, of 128 MiB; before it is started.
    ///
    /// # Errors
    /// Fails when it cannot be made or mounted.
    pub fn limit_disk(&self) -> anyhow::Result<()> {
        let (image, at) = (self.disk_image(), self.disk());
        fs::create_dir_all(&at)?;
        File::create(&image)?.set_len(DISK_MIB << 20)?;
        let (from, to) = (image.display().to_string(), at.display().to_string());
        network::run("mkfs.ext4", &["-q", &from])?;
        network::run("mount", &["-o", "loop", &from, &to])
    }

    /// Leaves no byte free on the disk of [`Host::limit_disk`].
    ///
    /// # Errors
    /// Fails when the disk cannot be written to for another reason.
    pub fn fill_disk(&self) -> anyhow::Result<()> {
        let mut ballast = File::create(self.disk().join(BALLAST))?;
        for size in [1 << 20, 4 << 10, 1] {
            let block = vec![1; size];
            loop {
                match ballast.write_all(&block).and_then(|()| ballast.sync_data()) {
                    Ok(()) => {}
                    Err(full) if full.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Undoes [`Host::fill_disk`].
    ///
    /// # Errors
    /// Fails when the disk was not filled.
    pub fn free_disk(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.disk().join(BALLAST))?)
    }

    /// Makes every flush of the server's files take so much longer, until what it returns is dropped.
    ///
    /// # Errors
    /// Fails when strace does not attach to the server.
    pub async fn slow_disk(&mut self, delay: Duration) -> anyhow::Result<SlowDisk> {
        let pid = self.role(Role::Server)?.pid()?;
        let inject = format!("inject=fsync,fdatasync:delay_enter={}", delay.as_micros());
        let child = Command::new("strace")
            .args([
                "-f",
                "-q",
                "-e",
                "trace=fsync,fdatasync",
                "-e",
                &inject,
                "-p",
            ])
            .arg(pid.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run strace")?;
        let slow = SlowDisk(child);
        let status = format!("/proc/{pid}/status");
        eventually(ATTACH_DEADLINE, "strace on the server", async || {
            let text = fs::read_to_string(&status)?;
            let tracer = text
                .lines()
                .find_map(|line| line.strip_prefix("TracerPid:"));
            Ok(tracer.filter(|tracer| tracer.trim() != "0").map(|_| ()))
        })
        .await?;
        Ok(slow)
    }

    /// Takes the disk away again, if it has one of its own.
    pub(super) fn unmount_disk(&self) -> anyhow::Result<()> {
        if !fs::exists(self.disk_image())? {
            return Ok(());
        }
        let at = self.disk().display().to_string();
        if fs::read_to_string("/proc/mounts")?.contains(&format!(" {at} ")) {
            network::run("umount", &[&at])?;
        }
        Ok(fs::remove_file(self.disk_image())?)
    }

    fn disk(&self) -> PathBuf {
        self.directory().join("controlplane")
    }

    fn disk_image(&self) -> PathBuf {
        self.directory().join("disk.ext4")
    }
}
