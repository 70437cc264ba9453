//! What systemd is told about a unit of `Type=notify`: one datagram to the socket that it names (sd_notify(3)).
//!
//! By hand, because it is no more than this; the crates for it bring the rest of the protocol.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// The role is of use: what waits for it may start.
pub(super) fn ready() {
    notify("READY=1");
}

/// This process, the unit's main one, has given that place to another one.
pub(super) fn main_process(pid: u32) {
    notify(&format!("MAINPID={pid}"));
}

/// Does nothing where systemd has not started the process.
fn notify(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        warn!(
            state,
            error = &error as &dyn std::error::Error,
            "systemd cannot be told"
        );
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(socket: &UnixDatagram, name: &OsStr) -> String {
        send(name, "READY=1").unwrap();
        let mut text = [0; 64];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        assert_eq!(said(&by_path, path.as_os_str()), "READY=1");

        let name = format!("roadstead-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        assert_eq!(said(&by_name, OsStr::new(&format!("@{name}"))), "READY=1");
    }
}
