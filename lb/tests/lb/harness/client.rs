//! A client that sees every byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::within;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&header.1)
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) struct Connection<S = TcpStream> {
    pub(crate) stream: BufReader<S>,
}

/// Makes one request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let mut connection = Connection::open(address).await;
    connection.get(path).await
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(within(TcpStream::connect(address)).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        within(self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// Sends what a connection that is closed meanwhile need not take.
    pub(crate) async fn try_send(&mut self, text: &str) {
        drop(within(self.stream.write_all(text.as_bytes())).await);
    }

    /// Returns whether an answer, or the end, has come before the pause is over.
    pub(crate) async fn has_answer(&mut self, pause: Duration) -> bool {
        timeout(pause, self.stream.fill_buf()).await.is_ok()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: lb\r\n\r\n"))
            .await;
        self.answer().await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: lb\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer must come")
    }

    /// Returns the answer; `None` if the connection ends before its end.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        if answer.header("transfer-encoding").is_some() {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(&line, 16).ok()?;
                if size == 0 {
                    // Behind the trailers, if there are any.
                    while !self.line().await?.is_empty() {}
                    return Some(answer);
                }
                self.read_exact(size, &mut answer.body).await?;
                self.line().await?;
            }
        }
        match answer.header("content-length") {
            Some(length) => {
                let length = length.parse().ok()?;
                self.read_exact(length, &mut answer.body).await?;
            }
            None if matches!(answer.status, 204 | 304) => {}
            None => {
                within(self.stream.read_to_end(&mut answer.body))
                    .await
                    .ok()?;
            }
        }
        Some(answer)
    }

    /// Reads an answer's head; the body is still to be read, if there is one.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let status = self.line().await?;
        let status = status.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ")?;
            headers.push((name.to_owned(), value.to_owned()));
        }
        Some(Answer {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Waits until the other side has closed the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset closes it as well.
        drop(within(self.stream.read_to_end(&mut rest)).await);
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = within(self.stream.read_line(&mut line)).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    async fn read_exact(&mut self, length: usize, into: &mut Vec<u8>) -> Option<()> {
        let mut bytes = vec![0; length];
        within(self.stream.read_exact(&mut bytes)).await.ok()?;
        into.extend_from_slice(&bytes);
        Some(())
    }
}
