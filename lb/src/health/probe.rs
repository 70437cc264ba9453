//! Asks one target how it fares, again and again.
//!
//! A probe is one short connection and mostly one read: it must stay cheap for a thousand targets, and it must see whether the
//! target still accepts connections. It speaks HTTP/1.1 by hand, because nothing but the status line matters; HTTP/2 is
//! hyper's, in `http2`.

mod http2;

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout, timeout_at};
use tracing::debug;

use self::http2::Duplex;
use super::{HealthCheck, Outcome, Question};
use crate::target::Target;
use crate::tls::Connector;
use crate::upstream::{Protocol, Transport};

const USER_AGENT: &str = "roadstead-health-check";

/// Probes `target` at once, and then for as long as the task lives.
pub(crate) async fn keep_probing(target: &Target, check: &HealthCheck) {
    let connector = (check.transport == Transport::Tls).then(|| Connector::new(protocol(check)));
    loop {
        let begun = Instant::now();
        let outcome = probe(target.address(), check, connector.as_ref()).await;
        let now = Instant::now();
        let pause = target.observe(outcome, now - begun, now, check);
        sleep(pause).await;
    }
}

fn protocol(check: &HealthCheck) -> Protocol {
    match check.question {
        Question::Connection | Question::Http1 => Protocol::Http1,
        Question::Http2 | Question::Grpc => Protocol::Http2,
    }
}

async fn probe(address: SocketAddr, check: &HealthCheck, connector: Option<&Connector>) -> Outcome {
    let deadline = Instant::now() + check.timeout;
    let connected = timeout(check.connect_timeout(), TcpStream::connect(address)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Err(_elapsed) if !check.suspect => return Outcome::Timeout,
        Ok(Err(_)) | Err(_) => return Outcome::Unreachable,
    };
    let answer = ask(stream, address, check, connector);
    match timeout_at(deadline.into(), answer).await {
        Err(_elapsed) => Outcome::Timeout,
        Ok(Err(error)) => {
            debug!(target = %address, error = &error as &dyn std::error::Error, "no answer to a probe");
            Outcome::Failed
        }
        Ok(Ok(Answer::Nothing)) => Outcome::Failed,
        Ok(Ok(Answer::NoHandshake)) => Outcome::NoHandshake,
        Ok(Ok(Answer::Connection)) => Outcome::Connected,
        Ok(Ok(Answer::Code(code))) => {
            let mut ranges = check.success_codes.iter();
            if ranges.any(|range| range.contains(&code)) {
                Outcome::Success(code)
            } else {
                Outcome::Mismatch(code)
            }
        }
    }
}

/// What a target has said.
enum Answer {
    Connection,
    Code(u16),
    NoHandshake,
    /// It has hung up, or said what is no answer.
    Nothing,
}

async fn ask(
    stream: TcpStream,
    address: SocketAddr,
    check: &HealthCheck,
    connector: Option<&Connector>,
) -> io::Result<Answer> {
    let Some(connector) = connector else {
        return ask_over(stream, "http", address, check).await;
    };
    match connector.shake_hands(stream, address).await {
        Ok(stream) => ask_over(stream, "https", address, check).await,
        Err(error) => {
            debug!(target = %address, error = &error as &dyn std::error::Error, "no handshake for a probe");
            Ok(Answer::NoHandshake)
        }
    }
}

async fn ask_over(
    stream: impl Duplex,
    scheme: &str,
    address: SocketAddr,
    check: &HealthCheck,
) -> io::Result<Answer> {
    let path = &check.path;
    let code = match check.question {
        Question::Connection => return Ok(Answer::Connection),
        Question::Http1 => http1(stream, address, path).await?,
        Question::Http2 => http2::get(stream, &format!("{scheme}://{address}{path}")).await?,
        Question::Grpc => http2::call(stream, &format!("{scheme}://{address}{path}")).await?,
    };
    Ok(code.map_or(Answer::Nothing, Answer::Code))
}

async fn http1<S>(mut stream: S, address: SocketAddr, path: &str) -> io::Result<Option<u16>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {USER_AGENT}\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = [0; 1024];
    let mut length = 0;
    while length < head.len() && !head[..length].contains(&b'\n') {
        match stream.read(&mut head[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    // Whatever becomes of that: the answer is there.
    drop(stream.shutdown().await);
    Ok(status_code(&head[..length]))
}

/// Returns the code of a status line (RFC 9112 4), or `None` if this is not one.
fn status_code(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', code @ ..] = rest else {
        return None;
    };
    let digits = code.get(..3)?;
    if code.get(3).is_none_or(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_status_line_is_read_and_anything_else_is_not() {
        assert_eq!(status_code(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status_code(b"HTTP/1.0 404\r\n"), Some(404));
        for line in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/2 200 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 20",
            "",
        ] {
            assert_eq!(status_code(line.as_bytes()), None, "{line}");
        }
    }
}
