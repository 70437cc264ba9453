//! The header of the PROXY protocol (versions 1 and 2): a proxy before us tells whose connection it passes on, and we tell
//! targets.
//!
//! It is read to its last byte and no further, so that what follows is still in the kernel for whoever speaks next.

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a header of version 2 begins with; one of version 1 is longer.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest of version 1.
const MOST_TEXT: usize = 107;
/// Addresses of sockets and a few kilobytes of what else may be told.
const MOST_PAYLOAD: usize = 4096;

/// How targets are told whose connection they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyProtocol {
    V1,
    V2,
}

impl ProxyProtocol {
    /// Returns the header for a connection from `source` to `destination`.
    pub(super) fn header(self, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        match self {
            Self::V1 => match (source, destination) {
                (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => {
                    v1::Addresses::from((source, destination))
                        .to_string()
                        .into_bytes()
                }
                (SocketAddr::V4(_), SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => {
                    b"PROXY UNKNOWN\r\n".to_vec()
                }
            },
            Self::V2 => {
                let command = v2::Version::Two | v2::Command::Proxy;
                let addresses = (source, destination);
                v2::Builder::with_addresses(command, v2::Protocol::Stream, addresses)
                    .build()
                    .expect("two addresses fit into a header")
            }
        }
    }
}

/// Reads the header of a connection; returns whose it is, or `None` when its proxy speaks for itself.
///
/// # Errors
/// Fails when the connection does not begin with a header, or ends in its middle.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [_, _, high, low] = fixed;
        header.extend_from_slice(&fixed);
        let payload = usize::from(u16::from_be_bytes([high, low]));
        if payload > MOST_PAYLOAD {
            return Err(malformed());
        }
        let start = header.len();
        header.resize(start + payload, 0);
        stream.read_exact(&mut header[start..]).await?;
    } else {
        while header.last() != Some(&b'\n') {
            if header.len() >= MOST_TEXT {
                return Err(malformed());
            }
            header.push(stream.read_u8().await?);
        }
    }
    source(&header).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    let why = "the connection does not begin with a header of the PROXY protocol";
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Returns whose connection a whole header speaks of; the outer `None` is for what is no header.
fn source(header: &[u8]) -> Option<Option<SocketAddr>> {
    Some(match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => {
                Some((ip.source_address, ip.source_port).into())
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => {
                Some((ip.source_address, ip.source_port).into())
            }
            (v2::Command::Local | v2::Command::Proxy, _) => None,
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return None,
    })
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a header, and what comes behind it.
    async fn read_all(mut bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let read = read(&mut bytes).await;
        (read, bytes.to_vec())
    }

    #[tokio::test]
    async fn a_header_that_is_written_is_read_and_nothing_behind_it() {
        let destination = "192.0.2.2:443".parse().unwrap();
        let source: SocketAddr = "192.0.2.1:50000".parse().unwrap();
        let (source_6, destination_6) = ("[2001:db8::1]:50000", "[2001:db8::2]:443");
        let source_6: SocketAddr = source_6.parse().unwrap();
        let destination_6 = destination_6.parse().unwrap();
        for protocol in [ProxyProtocol::V1, ProxyProtocol::V2] {
            for (source, destination) in [(source, destination), (source_6, destination_6)] {
                let mut bytes = protocol.header(source, destination);
                bytes.extend_from_slice(b"GET");
                let (read, rest) = read_all(&bytes).await;
                assert_eq!(read.unwrap(), Some(source));
                assert_eq!(rest, b"GET");
            }
        }
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_for_itself_names_nobody() {
        let (read, rest) = read_all(b"PROXY UNKNOWN\r\nGET").await;
        assert_eq!((read.unwrap(), rest.as_slice()), (None, &b"GET"[..]));
        let mut local = SIGNATURE.to_vec();
        local.extend_from_slice(&[0x20, 0, 0, 0]);
        assert_eq!(read_all(&local).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_header_or_too_long_is_refused() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        let mut large = SIGNATURE.to_vec();
        large.extend_from_slice(&[0x21, 0x11, 0xff, 0xff]);
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(),
            b"PROXY TCP4 1.2.3.4",
            long.as_bytes(),
            &large,
        ] {
            assert!(read_all(bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}
