//! A routing table as a person writes it, in TOML, for a load balancer without a control plane.
//!
//! ```toml
//! [[listener]]
//! port = 80
//! [[listener.rule]]
//! path = ["/api/*"]
//! forward = { api = 9, api-next = 1 }
//! [[listener.rule]]                       # conditions: host, path, header, method, query, source_ip
//! header = { x-beta = ["yes"] }
//! redirect = { host = "beta.example.com", status = 302 }
//! [[listener.rule]]
//! path = ["/admin/*"]
//! fixed_response = { status = 403, body = "not from here" }
//! [[listener.rule]]                       # the last rule has no condition
//! forward = "web"
//!
//! [[target_group]]
//! name = "web"
//! targets = ["10.0.0.1:8080", "10.0.0.2:8080"]
//! health_check = { path = "/health", interval = "5s", matcher = "200-299" }   # or false
//!                                                         # protocol = "TCP", "HTTP" or "HTTPS"; as requests without it
//! algorithm = "least_outstanding_requests"                # or weighted_random; round_robin without it
//! slow_start = "30s"
//! stickiness = { duration = "1h" }                        # application_cookie = "SESSION" goes with that one
//! protocol = "HTTPS"                                      # targets are spoken to in TLS, whoever the certificate is of; or TCP
//! protocol_version = "HTTP2"                              # or GRPC: what targets speak; HTTP1 without it
//! proxy_protocol_version = 2                              # how connections of a TCP listener begin at targets
//! requests_per_target = 100                               # at once; any number without it
//! waiting = { requests = 500, duration = "10s" }          # that have no target wait for one; none waits without it
//! ```
//!
//! A listener may bound its clients, each by its address:
//!
//! ```toml
//! [[listener]]
//! port = 80
//! rate_limit = { requests_per_second = 50, burst = 100 }  # without a burst, that of a second
//! allow = ["192.0.2.0/24"]                                # who may connect; everybody without it
//! deny = ["192.0.2.66/32"]                                # who may not, even if allowed
//! proxy_protocol = true                                   # each connection begins with a header of the PROXY protocol
//! protocol = "TCP"                                        # connections are passed on as they are, by rules that may ask
//!                                                         # for source_ip and, of TLS, for host
//! # ...and its rules
//! ```
//!
//! A listener with certificates speaks HTTPS. Names of files are relative to the table file:
//!
//! ```toml
//! [[listener]]
//! port = 443
//! certificates = ["shop"]                 # the first is shown to who names none, or one that nobody has
//! client_authority = "clients.pem"        # only for who has a certificate of this authority
//! # ...and its rules
//!
//! [[certificate]]
//! name = "shop"
//! chain = "shop.pem"                      # its own certificate first
//! key = "shop.key"
//! ```

mod certificate;
mod health_check;
mod rule;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_proto::lb;
use serde::Deserialize;

use super::{Draft, TableError};
use crate::tls::Keyring;
use certificate::Certificate;
use health_check::HealthCheck;
use rule::Rule;

/// Why a table file is refused.
#[derive(Debug, thiserror::Error)]
pub enum TableFileError {
    #[error("cannot read table file {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("table file {} is not as it should be", .path.display())]
    Form {
        path: PathBuf,
        #[source]
        cause: Box<toml::de::Error>,
    },
    #[error("table file {}: cannot read {}", .path.display(), .named.display())]
    Named {
        path: PathBuf,
        named: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("table file {}: listener {port}: the last rule must have no condition, and each other must have one", .path.display())]
    DefaultRule { path: PathBuf, port: u16 },
    #[error("table file {}: listener {port}: each rule must have exactly one of forward, redirect and fixed_response", .path.display())]
    Action { path: PathBuf, port: u16 },
    #[error("table file {}: target_group {group}: {key} must be whole seconds", .path.display())]
    Seconds {
        path: PathBuf,
        group: String,
        key: &'static str,
    },
    #[error("table file {}: target_group {group}: health_check.matcher `{matcher}` is not of the form 200, 200,202 or 200-299", .path.display())]
    Matcher {
        path: PathBuf,
        group: String,
        matcher: String,
    },
    #[error("table file {} cannot be followed", .path.display())]
    Table {
        path: PathBuf,
        #[source]
        cause: TableError,
    },
}

/// Reads a table file and returns whether a load balancer could serve from it.
///
/// # Errors
/// Fails when the file cannot be read, is not of the form above, or contradicts itself.
pub fn check_table_file(path: &Path) -> Result<(), TableFileError> {
    load(path).map(|_table| ())
}

/// Reads a table file; the table has no revision yet.
pub(crate) fn load(path: &Path) -> Result<lb::Table, TableFileError> {
    let text = std::fs::read_to_string(path).map_err(|cause| TableFileError::Read {
        path: path.to_owned(),
        cause,
    })?;
    let file: File = toml::from_str(&text).map_err(|cause| TableFileError::Form {
        path: path.to_owned(),
        cause: Box::new(cause),
    })?;
    let table = file.into_table(path)?;
    match Draft::read(&table, &mut Keyring::new()) {
        Ok(_) => Ok(table),
        Err(cause) => Err(TableFileError::Table {
            path: path.to_owned(),
            cause,
        }),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    listener: Vec<Listener>,
    #[serde(default)]
    target_group: Vec<TargetGroup>,
    #[serde(default)]
    certificate: Vec<Certificate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listener {
    port: u16,
    #[serde(default)]
    certificates: Vec<String>,
    client_authority: Option<PathBuf>,
    rate_limit: Option<RateLimit>,
    /// Only `TCP`; otherwise its certificates say what it speaks.
    protocol: Option<String>,
    #[serde(default)]
    proxy_protocol: bool,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    rule: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimit {
    requests_per_second: NonZeroU32,
    burst: Option<NonZeroU32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetGroup {
    name: String,
    #[serde(default)]
    targets: Vec<SocketAddr>,
    #[serde(default)]
    health_check: HealthCheck,
    #[serde(default)]
    algorithm: String,
    #[serde(default, with = "humantime_serde")]
    slow_start: Duration,
    stickiness: Option<Stickiness>,
    #[serde(default)]
    requests_per_target: u32,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    protocol_version: String,
    #[serde(default)]
    proxy_protocol_version: u32,
    #[serde(default)]
    waiting: Waiting,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    requests: u32,
    #[serde(with = "humantime_serde")]
    duration: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stickiness {
    #[serde(with = "humantime_serde")]
    duration: Duration,
    #[serde(default)]
    application_cookie: String,
}

impl File {
    fn into_table(self, path: &Path) -> Result<lb::Table, TableFileError> {
        let listeners = self.listener.into_iter();
        let groups = self.target_group.into_iter();
        let certificates = self.certificate.into_iter();
        Ok(lb::Table {
            revision: 0,
            control_plane_id: String::new(),
            listeners: listeners
                .map(|listener| listener.into_proto(path))
                .collect::<Result<_, _>>()?,
            target_groups: groups
                .map(|group| group.into_proto(path))
                .collect::<Result<_, _>>()?,
            servers: Vec::new(),
            certificates: certificates
                .map(|certificate| certificate.into_proto(path))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Listener {
    fn into_proto(self, path: &Path) -> Result<lb::Listener, TableFileError> {
        // A rule after one that takes everything would never be reached.
        let default = self.rule.iter().position(Rule::is_default);
        if default.is_none() || default != self.rule.len().checked_sub(1) {
            return Err(TableFileError::DefaultRule {
                path: path.to_owned(),
                port: self.port,
            });
        }
        if !self.rule.iter().all(Rule::has_one_action) {
            return Err(TableFileError::Action {
                path: path.to_owned(),
                port: self.port,
            });
        }
        let protocol = match self.protocol.as_deref() {
            Some(protocol) => protocol,
            None if self.certificates.is_empty() => "HTTP",
            None => "HTTPS",
        };
        let authority = self.client_authority.as_deref();
        let authority = authority.map(|named| certificate::read(path, named));
        let limit = self.rate_limit.as_ref();
        // As the access log counts them: the default one is 0.
        let last = self.rule.len() - 1;
        let priorities = (1..).take(last).chain([0]);
        let rules = self.rule.into_iter().zip(priorities);
        let rules = rules.map(|(rule, priority)| rule.into_proto(priority));
        Ok(lb::Listener {
            listener_arn: self.port.to_string(),
            port: self.port.into(),
            protocol: protocol.to_owned(),
            rules: rules.collect(),
            certificate_arns: self.certificates,
            client_authority: authority.transpose()?.unwrap_or_default(),
            requests_per_second: limit.map_or(0, |limit| limit.requests_per_second.get()),
            burst: limit
                .and_then(|limit| limit.burst)
                .map_or(0, NonZeroU32::get),
            allowed_source_ips: self.allow,
            denied_source_ips: self.deny,
            proxy_protocol: self.proxy_protocol,
        })
    }
}

impl TargetGroup {
    fn into_proto(self, path: &Path) -> Result<lb::TargetGroup, TableFileError> {
        let seconds = |key, duration| {
            whole_seconds(duration).ok_or_else(|| TableFileError::Seconds {
                path: path.to_owned(),
                group: self.name.clone(),
                key,
            })
        };
        let slow_start_seconds = seconds("slow_start", self.slow_start)?;
        let waiting_seconds = seconds("waiting.duration", self.waiting.duration)?;
        let sticky = self.stickiness.as_ref();
        let sticky_for = sticky.map(|sticky| seconds("stickiness.duration", sticky.duration));
        let sticky_for = sticky_for.transpose()?;
        let health_check = self.health_check.into_proto(path, &self.name)?;
        let targets = self.targets.into_iter().map(|address| lb::Target {
            target_id: address.to_string(),
            address: address.ip().to_string(),
            port: address.port().into(),
            draining: false,
            drain_deadline: 0,
            suspect: false,
            zone: String::new(),
        });
        Ok(lb::TargetGroup {
            target_group_arn: self.name,
            health_check,
            deployment: String::new(),
            targets: targets.collect(),
            algorithm: self.algorithm,
            slow_start_seconds,
            stickiness: sticky_for.zip(self.stickiness).map(|(seconds, sticky)| {
                let application_cookie = sticky.application_cookie;
                lb::Stickiness {
                    seconds,
                    application_cookie,
                }
            }),
            requests_per_target: self.requests_per_target,
            protocol: self.protocol,
            protocol_version: self.protocol_version,
            proxy_protocol_version: self.proxy_protocol_version,
            // Its targets are addresses, and nothing more is known of them.
            prefers_own_zone: false,
            waiting: self.waiting.requests,
            waiting_seconds,
            paused_until: 0,
        })
    }
}

/// Returns whole seconds; `None` for what is not of whole seconds.
fn whole_seconds(duration: Duration) -> Option<u32> {
    let seconds = u32::try_from(duration.as_secs()).ok();
    seconds.filter(|_| duration.subsec_nanos() == 0)
}

#[cfg(test)]
mod tests;
