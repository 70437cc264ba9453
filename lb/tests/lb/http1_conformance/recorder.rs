//! A target that tells what it was sent, to the last byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::harness::{Backend, within};

pub(super) struct Recorder {
    backend: Backend,
    seen: mpsc::UnboundedReceiver<String>,
}

impl Recorder {
    /// Starts one that answers each request with 204 when it is whole.
    pub(super) async fn start() -> Self {
        let (tell, seen) = mpsc::unbounded_channel();
        let backend = Backend::raw(move |mut stream, _| {
            let tell = tell.clone();
            async move {
                while let Some(request) = whole_request(&mut stream).await {
                    tell.send(request).unwrap();
                    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                }
            }
        })
        .await;
        Self { backend, seen }
    }

    /// Starts one that tells when a head is there, and then what came behind it, whole or not; only what is whole is answered.
    pub(super) async fn of_parts() -> Self {
        let (tell, seen) = mpsc::unbounded_channel();
        let backend = Backend::raw(move |mut stream, _| {
            let tell = tell.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                tell.send(head.clone()).unwrap();
                let mut rest = String::new();
                loop {
                    if is_whole(&format!("{head}{rest}")) {
                        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                        break;
                    }
                    match stream.read_u8().await {
                        Ok(byte) => rest.push(byte.into()),
                        // A reset ends it as well.
                        Err(_) => break,
                    }
                }
                tell.send(rest).unwrap();
            }
        })
        .await;
        Self { backend, seen }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.backend.address
    }

    /// Forgets what nobody has asked for.
    pub(super) fn forget(&mut self) {
        while self.seen.try_recv().is_ok() {}
    }

    /// Returns what it tells next.
    pub(super) async fn next(&mut self) -> String {
        within(self.seen.recv()).await.unwrap()
    }
}

/// Reads to the end of a request; `None` if the connection ends before.
async fn whole_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = str::from_utf8(&bytes).unwrap_or_default();
        if is_whole(text) {
            return Some(text.to_owned());
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns whether a request has come to its end, as a reader has it who believes in chunks, and then in lengths.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked") {
        let has_last_chunk = body.starts_with("0\r\n") || body.contains("\r\n0\r\n");
        return has_last_chunk && body.ends_with("\r\n\r\n");
    }
    let length = head.split("\r\ncontent-length: ").nth(1);
    let length = length.and_then(|length| length.split("\r\n").next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
