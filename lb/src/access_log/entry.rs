//! The line of a request that is under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{HeaderName, USER_AGENT};
use http::{StatusCode, Version, request};

use super::AccessLog;
use super::line::Line;
use crate::client::Client;
use crate::reason::Reason;

/// What ALB writes for a client that hung up before its answer.
const CLIENT_CLOSED: u16 = 460;
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The line of a request that is under way. It is written when this is dropped, however that comes.
#[derive(Debug)]
pub(crate) struct Entry {
    log: AccessLog,
    line: Option<Box<Line>>,
    begun: Instant,
    /// When it was sent to its last target.
    entered: Option<Instant>,
}

impl Entry {
    pub(crate) fn begin(
        log: AccessLog,
        client: &Client,
        head: &request::Parts,
        begun: Instant,
    ) -> Box<Self> {
        let uri = &head.uri;
        let header = |name: HeaderName| {
            let value = head.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        // With HTTP/2 every request names its host beside its path; HTTP/1.1 is logged as it came.
        let (host, path) = match uri.authority() {
            Some(authority) if head.version == Version::HTTP_2 => {
                let path = uri.path_and_query().map(ToString::to_string);
                (Some(authority.to_string()), path.unwrap_or_default())
            }
            Some(_) | None => (header(http::header::HOST), uri.to_string()),
        };
        let tls = client.tls.as_deref();
        let line = Line {
            time: SystemTime::now(),
            client: client.address,
            client_port: client.port,
            listener_port: client.door.port,
            kind: match (tls, head.version) {
                (None, _) => "http",
                (Some(_), Version::HTTP_2) => "h2",
                (Some(_), _) => "https",
            },
            protocol: format!("{:?}", head.version),
            method: head.method.to_string(),
            host: host.unwrap_or_default(),
            path,
            user_agent: header(USER_AGENT),
            rule: None,
            action: None,
            redirect: None,
            target_group: None,
            target: None,
            attempts: 0,
            status: CLIENT_CLOSED,
            error: None,
            target_status: None,
            bytes_received: 0,
            bytes_sent: 0,
            duration: Duration::ZERO,
            waited: None,
            target_took: None,
            tls_protocol: tls.map(|tls| tls.protocol.clone()),
            tls_cipher: tls.map(|tls| tls.cipher.clone()),
            server_name: tls.and_then(|tls| tls.server_name.clone()),
            trace_id: header(TRACE_ID),
            traceparent: header(TRACEPARENT),
            listener: client.door.arn.clone(),
        };
        Box::new(Self {
            log,
            line: Some(Box::new(line)),
            begun,
            entered: None,
        })
    }

    /// A rule was followed.
    pub(crate) fn rule(&mut self, priority: u32, action: &'static str) {
        if let Some(line) = &mut self.line {
            line.rule = Some(priority);
            line.action = Some(action);
        }
    }

    /// The client is sent elsewhere.
    pub(crate) fn redirect(&mut self, location: &http::HeaderValue) {
        if let Some(line) = &mut self.line {
            let location = String::from_utf8_lossy(location.as_bytes());
            line.redirect = Some(location.into_owned());
        }
    }

    /// The request goes to this target of that group now.
    pub(crate) fn target(&mut self, address: SocketAddr, group: &Arc<str>) {
        let now = Instant::now();
        self.entered = Some(now);
        if let Some(line) = &mut self.line {
            line.target = Some(address);
            line.target_group = Some(Arc::clone(group));
            line.attempts += 1;
            line.waited = Some(now - self.begun);
        }
    }

    /// The head of an answer is there, of a target or of the load balancer's own.
    pub(crate) fn status(&mut self, status: StatusCode, by_target: bool) {
        let Some(line) = &mut self.line else {
            return;
        };
        line.status = status.as_u16();
        if by_target {
            line.target_status = Some(line.status);
            line.target_took = self.entered.map(|entered| entered.elapsed());
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            line.kind = if line.kind == "http" { "ws" } else { "wss" };
        }
    }

    /// There is no answer of a target, or not all of it, for this reason.
    pub(crate) fn fell_short(&mut self, reason: Reason) {
        if let Some(line) = &mut self.line {
            line.error.get_or_insert(reason.name());
        }
    }

    /// So many bytes of the request's body have come, all in all.
    pub(crate) fn received(&mut self, bytes: u64) {
        if let Some(line) = &mut self.line {
            line.bytes_received = bytes;
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(line) = &mut self.line {
            line.bytes_sent += bytes;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.duration = self.begun.elapsed();
            if line.status == CLIENT_CLOSED {
                line.error = Some(Reason::ClientClosed.name());
            }
            self.log.take(line);
        }
    }
}
