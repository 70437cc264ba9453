//! What a load balancer is told at its start. The table says everything else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::access_log::AccessLogFormat;

/// The settings of one load balancer.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds the node's id and the last known good table. Not used with a table file.
    pub data_dir: PathBuf,
    /// The address that every listener binds. Default `0.0.0.0`.
    pub bind: IpAddr,
    /// How many threads serve requests; 0, the default, is one per core.
    pub workers: usize,
    /// The availability zone that it is in; empty, the default, when that does not matter.
    pub zone: String,
    /// Where one line per request goes; none by default.
    pub access_log: Option<PathBuf>,
    /// How a line of the access log is written. Default JSON.
    pub access_log_format: AccessLogFormat,
    /// Where Prometheus may read metrics over HTTP, at `/metrics`; nowhere by default.
    pub metrics: Option<SocketAddr>,
    /// The most bytes of a request's head; a longer one is answered with 431, or 414 if its first line is. Default 64 KiB, as ALB.
    pub max_header_bytes: usize,
    /// The most client connections at once; further ones wait in the kernel. Default 65,536.
    pub max_connections: usize,
    /// The most connections at once of one client address, or of one IPv6 network of 64 bits; further ones are closed.
    /// Default 16,384, a quarter of all: many clients may have one proxy before them.
    pub max_connections_per_address: usize,
    /// The most requests under way at once; further ones are answered with 503. Default 65,536.
    pub max_requests: usize,
    /// After so many requests a connection ends, with due notice to its client. Default 10,000.
    pub max_requests_per_connection: u64,
    /// After so long a connection ends, with due notice to its client. Default 1 h, as ALB's client keep-alive.
    pub max_connection_age: Duration,
    /// Bytes a second that a client must send of a request's body, or take of an answer that waits for it, once it has lagged
    /// for the target timeout. Default 240; 0 is any.
    pub min_client_rate: u32,
    /// How long a client may take from the end of one answer to the end of the next request's head,
    /// before its connection is closed. Default 60 s, as ALB's idle timeout.
    pub client_timeout: Duration,
    /// A client's connection that is unused for so long gives back its buffers until it is used again. 100 ms; nobody who runs
    /// it has a reason to set another, but tests have.
    pub park_after: Duration,
    /// How long a target may take to accept a connection and, over TLS, to shake hands. Default 10 s, as ALB.
    pub connect_timeout: Duration,
    /// How long nothing may move in either direction while a request is with a target; 504 after
    /// that. Default 60 s, as ALB's idle timeout.
    pub target_timeout: Duration,
    /// How long nothing may move on a connection of a TCP listener. Default 350 s, as NLB's idle timeout.
    pub tcp_timeout: Duration,
    /// How long a connection to a target is kept unused. Default 4 s: below the 5 s after which
    /// Node.js and Apache hang up.
    pub pool_timeout: Duration,
    /// The most unused connections that each worker keeps per target. Default 512.
    pub pool_size: usize,
    /// How long requests may go on after `stop`. Default 30 s.
    pub stop_timeout: Duration,
    /// How long requests and tunnels may go on beside a successor. Default 5 min, as long as a target that is deregistered has.
    pub handover_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/roadstead/lb"),
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            workers: 0,
            zone: String::new(),
            access_log: None,
            access_log_format: AccessLogFormat::default(),
            metrics: None,
            max_header_bytes: 64 * 1024,
            max_connections: 65_536,
            max_connections_per_address: 16_384,
            max_requests: 65_536,
            max_requests_per_connection: 10_000,
            max_connection_age: Duration::from_secs(3600),
            min_client_rate: 240,
            client_timeout: Duration::from_secs(60),
            park_after: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(10),
            target_timeout: Duration::from_secs(60),
            tcp_timeout: Duration::from_secs(350),
            pool_timeout: Duration::from_secs(4),
            pool_size: 512,
            stop_timeout: Duration::from_secs(30),
            handover_timeout: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// Returns how many workers to start, at least one.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}
