//! Whose a connection is that a proxy passes on, by version 2 of the PROXY protocol.

use std::io;
use std::net::IpAddr;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The first byte of the header, which begins neither a request nor a handshake.
const FIRST: u8 = b'\r';

/// Reads the header that a connection begins with, if it has one, and returns the address in it.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first != [FIRST] {
        return Ok(None);
    }
    // Twelve bytes are always the same, and one has the version.
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;
    let [.., family, high, low] = head;
    let mut addresses = vec![0; u16::from_be_bytes([high, low]).into()];
    stream.read_exact(&mut addresses).await?;
    Ok(source(family, &addresses))
}

fn source(family: u8, addresses: &[u8]) -> Option<IpAddr> {
    match family {
        0x11 => addresses.first_chunk::<4>().map(|it| IpAddr::from(*it)),
        0x21 => addresses.first_chunk::<16>().map(|it| IpAddr::from(*it)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_comes_first_in_either_family() {
        let addresses: Vec<u8> = (1..=36).collect();
        let first = |family| source(family, &addresses).map(|address| address.to_string());
        assert_eq!(first(0x11).as_deref(), Some("1.2.3.4"));
        let long = "102:304:506:708:90a:b0c:d0e:f10";
        assert_eq!(first(0x21).as_deref(), Some(long));
        assert_eq!(first(0x00), None, "a probe of the proxy itself");
    }
}
