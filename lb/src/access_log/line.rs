//! What is known of one request when it is over.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

/// One request. As JSON the fields have these names, and what does not apply is `null`.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// When its head had come.
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: SystemTime,
    pub(super) client: IpAddr,
    pub(super) client_port: u16,
    pub(super) listener_port: u16,
    /// `http`, `https`, `h2`, `ws` or `wss`, as ALB has it.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(super) protocol: String,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) user_agent: Option<String>,
    /// Priority of the rule that was followed; 0 is the default one.
    pub(super) rule: Option<u32>,
    /// `forward`, `redirect` or `fixed-response`.
    pub(super) action: Option<&'static str>,
    pub(super) redirect: Option<String>,
    pub(super) target_group: Option<Arc<str>>,
    /// The one that was asked last.
    pub(super) target: Option<SocketAddr>,
    /// How many targets were asked.
    pub(super) attempts: u32,
    /// What the client was answered; 460 when it hung up before.
    pub(super) status: u16,
    /// Why there is no answer of a target, or not to its end: the name of a `Reason`.
    pub(super) error: Option<&'static str>,
    /// What the target answered.
    pub(super) target_status: Option<u16>,
    /// Of bodies.
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: usize,
    /// From the head of the request to the last byte of the answer.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub(super) duration: Duration,
    /// From the head of the request until it was sent to its last target.
    #[serde(rename = "waited_ms", serialize_with = "some_milliseconds")]
    pub(super) waited: Option<Duration>,
    /// From then to the head of the target's answer.
    #[serde(rename = "target_ms", serialize_with = "some_milliseconds")]
    pub(super) target_took: Option<Duration>,
    /// `TLSv1.3` or `TLSv1.2`.
    pub(super) tls_protocol: Option<String>,
    pub(super) tls_cipher: Option<String>,
    pub(super) server_name: Option<String>,
    /// `X-Amzn-Trace-Id`
    pub(super) trace_id: Option<String>,
    pub(super) traceparent: Option<String>,
    /// ARN of the listener.
    pub(super) listener: String,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1000.0)
}

fn some_milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let milliseconds = duration.map(|duration| duration.as_secs_f64() * 1000.0);
    milliseconds.serialize(serializer)
}
