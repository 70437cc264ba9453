//! A data directory belongs to one process at a time.
//!
//! The owner holds a lock on `ctl.pid` in it and has written its process id there. The lock goes
//! with the process, however that ends, so a held lock proves that the id is the owner's. It belongs to the open file:
//! a successor that inherits the descriptor has it too, and it goes with the last of them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LOCK: &str = "ctl.pid";
const OWNER_ONLY: u32 = 0o700;
/// On a directory that everybody may write to, such as /tmp.
const STICKY: u32 = 0o1000;
/// Longer than a load balancer takes to finish its requests.
const AFTER_TERM: Duration = Duration::from_secs(45);
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Why a data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error("cannot make data directory {} for this user alone", .path.display())]
    Create {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("data directory {} is everybody's: name one for this process alone", .path.display())]
    Shared { path: PathBuf },
    #[error("cannot lock {}", .path.display())]
    Lock {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("data directory {} is in use by process {pid}", .path.display())]
    InUse { path: PathBuf, pid: i32 },
    #[error("data directory {} is another than the predecessor's: that takes a restart", .path.display())]
    Moved { path: PathBuf },
    #[error("process {pid} cannot be stopped")]
    Stop {
        pid: i32,
        #[source]
        cause: io::Error,
    },
}

/// The right to a data directory, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Claim {
    /// Not one that is unlocked when it is dropped: a successor may have it.
    lock: File,
}

impl Claim {
    /// Returns what a successor inherits.
    pub(super) fn lock(&self) -> &File {
        &self.lock
    }

    /// Writes down whose the directory is.
    pub(super) fn name_owner(&self, pid: u32) -> io::Result<()> {
        let mut file = &self.lock;
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{pid}")
    }
}

/// Claims a data directory, which is made if it is missing; only its owner may look into it.
///
/// # Errors
/// Fails when another process has it, or it is shared by everybody.
pub(super) fn claim(directory: &Path) -> Result<Claim, ClaimError> {
    make_private(directory)?;
    let path = directory.join(LOCK);
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => owned(file, path),
        Err(TryLockError::WouldBlock) => {
            let pid = read_pid(&mut file).map_err(|cause| ClaimError::Lock { path, cause })?;
            Err(ClaimError::InUse {
                path: directory.to_owned(),
                pid,
            })
        }
        Err(TryLockError::Error(cause)) => Err(ClaimError::Lock { path, cause }),
    }
}

/// Claims the data directory of a predecessor, by the lock that was inherited from it.
///
/// # Errors
/// Fails when that lock is another directory's.
pub(super) fn inherit(directory: &Path, lock: File) -> Result<Claim, ClaimError> {
    let path = directory.join(LOCK);
    let same_file = || {
        let (ours, there) = (lock.metadata()?, fs::metadata(&path)?);
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    };
    match same_file() {
        Ok(true) => Ok(Claim { lock }),
        Ok(false) => Err(ClaimError::Moved {
            path: directory.to_owned(),
        }),
        Err(cause) => Err(ClaimError::Lock { path, cause }),
    }
}

/// Claims a data directory, and stops the process that has it: SIGTERM first, SIGKILL later.
///
/// # Errors
/// Fails when that process does not go.
pub(super) fn take_over(directory: &Path) -> Result<Claim, ClaimError> {
    let pid = match claim(directory) {
        Err(ClaimError::InUse { pid, .. }) => pid,
        outcome => return outcome,
    };
    let path = directory.join(LOCK);
    let file = open(&path)?;
    // The lock is the condition that is waited for: it is free when the process is gone.
    let (sender, freed) = sync_channel(1);
    thread::spawn(move || sender.send(file.lock().map(|()| file)));
    for (signal, patience) in [(Signal::SIGTERM, AFTER_TERM), (Signal::SIGKILL, AFTER_KILL)] {
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                return Err(ClaimError::Stop {
                    pid,
                    cause: errno.into(),
                });
            }
        }
        match freed.recv_timeout(patience) {
            Ok(Ok(lock)) => return owned(lock, path),
            Ok(Err(cause)) => return Err(ClaimError::Lock { path, cause }),
            Err(_) => {}
        }
    }
    Err(ClaimError::Stop {
        pid,
        cause: io::ErrorKind::TimedOut.into(),
    })
}

/// Makes a directory, or closes to others the one that is there.
fn make_private(directory: &Path) -> Result<(), ClaimError> {
    let error = |cause| ClaimError::Create {
        path: directory.to_owned(),
        cause,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY)
        .create(directory)
        .map_err(error)?;
    let mode = fs::metadata(directory).map_err(error)?.permissions().mode();
    if mode & STICKY != 0 {
        let path = directory.to_owned();
        return Err(ClaimError::Shared { path });
    }
    if mode & 0o777 != OWNER_ONLY {
        fs::set_permissions(directory, Permissions::from_mode(OWNER_ONLY)).map_err(error)?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, ClaimError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|cause| ClaimError::Lock {
            path: path.to_owned(),
            cause,
        })
}

fn owned(lock: File, path: PathBuf) -> Result<Claim, ClaimError> {
    let claim = Claim { lock };
    let named = claim.name_owner(std::process::id());
    named.map_err(|cause| ClaimError::Lock { path, cause })?;
    Ok(claim)
}

fn read_pid(file: &mut File) -> io::Result<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let pid: i32 = text.trim().parse().map_err(io::Error::other)?;
    // 0 and below would signal whole groups of processes.
    if pid > 0 {
        Ok(pid)
    } else {
        Err(io::Error::other(format!("process id {pid}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_refused_while_another_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("data");
        let first = claim(&directory).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        match claim(&directory).unwrap_err() {
            ClaimError::InUse { pid, .. } => assert_eq!(pid, own),
            other => panic!("{other}"),
        }
        drop(first);
        claim(&directory).unwrap();
    }

    #[test]
    fn a_lock_that_was_inherited_outlives_its_first_owner_and_is_good_for_one_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, other) = (folder.path().join("data"), folder.path().join("other"));
        let first = claim(&directory).unwrap();
        let second = inherit(&directory, first.lock().try_clone().unwrap()).unwrap();
        second.name_owner(4711).unwrap();
        drop(first);
        let refused = claim(&directory).unwrap_err();
        assert!(
            matches!(refused, ClaimError::InUse { pid: 4711, .. }),
            "{refused}"
        );
        let _theirs = claim(&other).unwrap();
        let refused = inherit(&other, second.lock().try_clone().unwrap()).unwrap_err();
        assert!(matches!(refused, ClaimError::Moved { .. }), "{refused}");
        drop(second);
        claim(&directory).unwrap();
    }

    #[test]
    fn a_directory_that_was_there_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let mode = || fs::metadata(folder.path()).unwrap().permissions().mode();
        let set = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        set(0o755);
        claim(folder.path()).unwrap();
        assert_eq!(mode() & 0o7777, 0o700);
        set(0o1777);
        let refused = claim(folder.path()).unwrap_err();
        assert!(matches!(refused, ClaimError::Shared { .. }), "{refused}");
        assert_eq!(mode() & 0o7777, 0o1777);
    }

    #[test]
    fn a_process_that_ends_gives_way_to_the_one_that_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(LOCK);
        // `flock` of util-linux holds the lock as another process would.
        let script = format!("echo $$ > {}; echo; exec sleep 600", lock.display());
        let mut holder = std::process::Command::new("flock")
            .arg("--no-fork")
            .arg(&lock)
            .args(["sh", "-c", &script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        holder
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut line)
            .unwrap();
        let claim = take_over(folder.path());
        holder.wait().unwrap();
        claim.unwrap();
    }
}
