//! Network namespaces that outlive the agent: each is held by a bind mount, as `ip netns` does it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::NetworkError;

/// A new namespace, seen from outside and from inside.
#[derive(Debug)]
pub(super) struct Namespace {
    /// Names the namespace to the kernel.
    pub(super) file: File,
    /// Speaks netlink inside: a socket belongs to the namespace in which it was opened.
    pub(super) inside: Handle,
    connection: AbortHandle,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // An open socket would keep the namespace alive after its removal.
        self.connection.abort();
    }
}

/// Creates a namespace, held by a mount at `path`.
pub(super) async fn create(path: &Path) -> Result<Namespace, NetworkError> {
    let (send, receive) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let target = path.to_owned();
    // A thread of its own, because it never comes back to the namespace it was born in.
    std::thread::Builder::new()
        .name("netns".to_owned())
        .spawn(move || {
            // Nobody waits any more if the launch was given up.
            let _ = send.send(create_here(&target, &runtime));
        })
        .map_err(NetworkError::Socket)?;
    receive
        .await
        .unwrap_or_else(|_| Err(NetworkError::Socket(io::Error::other("the thread died"))))
}

fn create_here(path: &Path, runtime: &tokio::runtime::Handle) -> Result<Namespace, NetworkError> {
    let error = |operation| {
        move |cause: io::Error| NetworkError::File {
            operation,
            path: path.to_owned(),
            cause,
        }
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(error("create a directory for"))?;
    }
    File::create(path).map_err(error("create"))?;
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| error("unshare the network for")(errno.into()))?;
    let this: Option<&Path> = Some(Path::new("/proc/thread-self/ns/net"));
    let none: Option<&str> = None;
    mount(this, path, none, MsFlags::MS_BIND, none)
        .map_err(|errno| error("mount")(errno.into()))?;
    let file = File::open(path).map_err(error("open"))?;
    let _context = runtime.enter();
    let (connection, inside, _) = rtnetlink::new_connection().map_err(NetworkError::Socket)?;
    let connection = runtime.spawn(connection).abort_handle();
    Ok(Namespace {
        file,
        inside,
        connection,
    })
}

/// Removes a namespace; one that is not there is a success.
pub(super) fn remove(path: &Path) -> Result<(), NetworkError> {
    let error = |operation, cause| NetworkError::File {
        operation,
        path: path.to_owned(),
        cause,
    };
    match umount2(path, MntFlags::MNT_DETACH) {
        // Not a mount point: the launch was cut before the mount.
        Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => {}
        Err(errno) => return Err(error("unmount", errno.into())),
    }
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(error("remove", cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}
