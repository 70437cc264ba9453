//! The shims of the agent's containers, found among the machine's processes.
//!
//! A shim ends by itself shortly after its task is deleted. Who removes everything waits for that, and
//! helps along one that hangs.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};
use tracing::warn;

const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// Waits until no shim works for a containerd namespace any more; kills those that do not end.
pub(crate) async fn end_shims(namespace: &str) {
    let began = Instant::now();
    loop {
        let shims = shims(namespace);
        if shims.is_empty() {
            return;
        }
        if began.elapsed() > PATIENCE {
            for pid in shims {
                warn!(pid = pid.as_raw(), "a shim hangs and is killed");
                // One that has ended meanwhile is what was wanted.
                let _ = kill(pid, Signal::SIGKILL);
            }
            return;
        }
        sleep(POLL).await;
    }
}

fn shims(namespace: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let shims = processes.filter_map(|process| {
        let pid: i32 = process.file_name().to_str()?.parse().ok()?;
        let line = fs::read(process.path().join("cmdline")).ok()?;
        is_shim_of(&line, namespace).then(|| Pid::from_raw(pid))
    });
    shims.collect()
}

/// Reads a command line as `/proc` has it: arguments that each end with a zero.
fn is_shim_of(line: &[u8], namespace: &str) -> bool {
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let [program, rest @ ..] = &arguments[..] else {
        return false;
    };
    let program = String::from_utf8_lossy(program);
    program.contains("containerd-shim")
        && rest
            .windows(2)
            .any(|pair| pair[0] == b"-namespace" && pair[1] == namespace.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_namespace() {
        let line = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0rs\0-id\0a1-0\0";
        assert!(is_shim_of(line, "rs"));
        assert!(!is_shim_of(line, "rs2"));
        assert!(!is_shim_of(b"/bin/sh\0-namespace\0rs\0", "rs"));
        assert!(!is_shim_of(b"", "rs"));
    }
}
