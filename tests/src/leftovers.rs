//! Finds what an agent has left on this machine: the promise is nothing.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::Context;

const DEEPEST_CGROUP: usize = 4;

/// Returns one line for each process, mount, network link, firewall table, cgroup and directory of sockets that bears
/// the agent's `name`. Empty when nothing is left.
///
/// # Errors
/// Fails when the machine cannot be looked at.
pub fn leftovers(name: &str) -> anyhow::Result<Vec<String>> {
    let mut found = processes(name)?
        .into_iter()
        .map(|process| format!("process {} {}", process.pid, process.command))
        .collect();
    mounts(name, &mut found)?;
    entries("link", Path::new("/sys/class/net"), name, &mut found)?;
    entries("directory", Path::new("/run"), name, &mut found)?;
    firewall_tables(name, &mut found)?;
    cgroups(Path::new("/sys/fs/cgroup"), name, 0, &mut found);
    Ok(found)
}

/// A process of this machine.
#[derive(Debug)]
pub struct FoundProcess {
    pub pid: i32,
    /// The command with its arguments, separated by spaces.
    pub command: String,
}

impl FoundProcess {
    /// True when it runs the program of this file name.
    #[must_use]
    pub fn runs(&self, program: &str) -> bool {
        let first = self.command.split(' ').next().unwrap_or("");
        Path::new(first).file_name() == Some(OsStr::new(program))
    }
}

/// Returns whether a process runs; one that has ended and that nobody has reaped does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Returns the processes whose command line contains `text`, without this one.
///
/// # Errors
/// Fails when /proc cannot be read.
pub fn processes(text: &str) -> anyhow::Result<Vec<FoundProcess>> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let entry = entry?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process that ends while we look has no command line; neither has a kernel thread.
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if command.contains(text) && u32::try_from(pid) != Ok(own) {
            found.push(FoundProcess { pid, command });
        }
    }
    Ok(found)
}

fn mounts(name: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let ours = mounts.lines().filter(|line| line.contains(name));
    found.extend(ours.map(|line| format!("mount {line}")));
    Ok(())
}

fn entries(kind: &str, folder: &Path, name: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry?.file_name().display().to_string();
        if entry.contains(name) {
            found.push(format!("{kind} {entry}"));
        }
    }
    Ok(())
}

fn firewall_tables(name: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    let listed = std::process::Command::new("nft")
        .args(["list", "tables"])
        .output()
        .context("cannot run nft")?;
    let tables = String::from_utf8_lossy(&listed.stdout).into_owned();
    let ours = tables.lines().filter(|line| line.contains(name));
    found.extend(ours.map(|line| format!("firewall {line}")));
    Ok(())
}

fn cgroups(folder: &Path, name: &str, depth: usize, found: &mut Vec<String>) {
    // A cgroup may vanish while we look: then it is not left.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().display().to_string().contains(name) {
            found.push(format!("cgroup {}", entry.path().display()));
        } else if depth < DEEPEST_CGROUP {
            cgroups(&entry.path(), name, depth + 1, found);
        }
    }
}
