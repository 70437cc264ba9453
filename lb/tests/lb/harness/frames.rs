//! Frames of HTTP/2, written and read by hand: what a library would not send (RFC 9113 4.1).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// END_STREAM of DATA and HEADERS, ACK of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// How the heads of answers begin: a status by its index (RFC 7541 A), or one whose digits are in Huffman's code (B).
pub(crate) const OK: &[u8] = &[0x88];
pub(crate) const CONTINUE: &[u8] = &[0x48, 0x82, 0x08, 0x01];
pub(crate) const EARLY_HINTS: &[u8] = &[0x48, 0x82, 0x08, 0x19];
pub(crate) const BAD_GATEWAY: &[u8] = &[0x48, 0x82, 0x6c, 0x02];
pub(crate) const SERVICE_UNAVAILABLE: &[u8] = &[0x48, 0x83, 0x6c, 0x0c, 0xff];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
    Frame {
        kind,
        flags,
        stream,
        payload: payload.into(),
    }
}

impl Frame {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let stream = self.stream.to_be_bytes();
        let parts = [
            &length[1..],
            &[self.kind, self.flags],
            &stream,
            &self.payload,
        ];
        parts.concat()
    }

    /// Returns the code of a RST_STREAM or GOAWAY.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Returns fields as literals that are not put into the table (RFC 7541 6.2.2).
pub(crate) fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Returns a request without a body.
pub(crate) fn get(stream: u32) -> Frame {
    headers(stream, END_STREAM, &[])
}

/// Returns the head of a request for `/` with further fields.
pub(crate) fn headers(stream: u32, flags: u8, further: &[(&str, &str)]) -> Frame {
    let usual = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "lb"),
    ];
    let block = literals(&[&usual[..], further].concat());
    frame(HEADERS, flags | END_HEADERS, stream, block)
}

/// A connection on which frames are sent as they are.
pub(crate) struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// Connects, and begins as a client must.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut frames = Self::silent(address).await;
        frames.begin().await;
        frames
    }

    /// Says what a client must say first.
    pub(crate) async fn begin(&mut self) {
        self.send(PREFACE).await;
        self.send(frame(SETTINGS, 0, 0, []).bytes()).await;
    }

    /// Takes a connection as a server must; `None` if its client does not begin.
    pub(crate) async fn accept(mut stream: TcpStream) -> Option<Self> {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.ok()?;
        assert_eq!(preface, PREFACE);
        let mut frames = Self { stream };
        frames.send(frame(SETTINGS, 0, 0, []).bytes()).await;
        Some(frames)
    }

    /// Connects, and says nothing yet.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        Self { stream }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // Whoever was told to go may find the connection closed.
        let _sent = within(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Returns the next frame; `None` at the end, however the connection ends.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.stream.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        let mut payload = vec![0; length];
        within(self.stream.read_exact(&mut payload)).await.ok()?;
        Some(frame(kind, flags, u32::from_be_bytes(stream), payload))
    }

    /// Returns the next frame of one of these kinds, of which there must be one; `why` is said if there is none.
    pub(crate) async fn next_of(&mut self, kinds: &[u8], why: &str) -> Frame {
        loop {
            let next = self.next().await;
            let frame = next.unwrap_or_else(|| panic!("{why}: the end came before"));
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    }
}
