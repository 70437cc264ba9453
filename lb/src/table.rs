//! The routing table: what the cores read, and how it comes from the contract's message.
//!
//! `Draft` is the message, checked and typed, and nothing shared; `registry` turns it into the
//! `RoutingTable`, in which targets keep the identity that they had before.

pub(crate) mod disk;
pub(crate) mod file;
mod listener;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roadstead_proto::lb;
use sha2::{Digest, Sha256};

use crate::addresses::Meter;
use crate::balance::Algorithm;
use crate::client::ProxyProtocol;
use crate::counts::Counts;
use crate::health::{HealthCheck, Question};
use crate::routing::Rule;
use crate::target::Target;
use crate::tls::{CertificateError, Keyring, TlsError};
use crate::traffic::Traffic;
use crate::upstream::Protocol;
use crate::waiting::Room;
pub(crate) use listener::{Access, ListenerDraft, RateLimit, Speaks};

/// One immutable version of everything that decides where a request goes.
#[derive(Debug, Default)]
pub(crate) struct RoutingTable {
    pub(crate) revision: u64,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) groups: Vec<Arc<TargetGroup>>,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) speaks: Speaks,
    /// Connections begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    pub(crate) access: Access,
    /// `None` without a limit.
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) arn: String,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) rules: Vec<Rule<Arc<TargetGroup>>>,
}

#[derive(Debug)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    /// Stands for it in cookies: the same on every load balancer, and says nothing.
    pub(crate) mark: String,
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) counts: Option<Arc<Counts>>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) algorithm: Algorithm,
    /// A target's share grows for so long from when it became healthy.
    pub(crate) slow_start: Option<Duration>,
    pub(crate) stickiness: Option<Stickiness>,
    /// Targets in the load balancer's own zone come first.
    pub(crate) prefers_own_zone: bool,
    pub(crate) waiting: Waiting,
    /// Where requests wait for a target.
    pub(crate) room: Arc<Room>,
    pub(crate) traffic: Arc<Traffic>,
}

/// Which requests wait for a target, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// At once.
    pub(crate) most: usize,
    /// `None`: a request for which there is no target is refused at once.
    pub(crate) patience: Option<Duration>,
    /// Until then every request waits, even if there are targets.
    pub(crate) paused_until: Option<Instant>,
}

/// By which cookie a client stays with a target, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stickiness {
    LoadBalancer(Duration),
    /// As long as the application's own cookie of this name is there.
    Application {
        name: String,
        duration: Duration,
    },
}

impl RoutingTable {
    /// Returns the listener on `port`.
    pub(crate) fn listener(&self, port: u16) -> Option<&Listener> {
        let mut listeners = self.listeners.iter();
        listeners.find(|listener| listener.port == port)
    }

    /// Forgets clients that have not made a request for a while.
    pub(crate) fn forget_idle(&self, now: Instant) {
        let meters = self.listeners.iter().filter_map(|one| one.meter.as_ref());
        meters.for_each(|meter| meter.forget_idle(now));
    }
}

impl Listener {
    /// Returns what it has come to since the start of the process.
    pub(crate) fn report(&self) -> lb::Traffic {
        self.traffic.report(&self.arn, &self.port.to_string())
    }
}

/// Returns what stands for something in cookies.
pub(crate) fn mark(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

impl TargetGroup {
    /// Returns what it has come to since the start of the process.
    pub(crate) fn report(&self) -> lb::Traffic {
        lb::Traffic {
            waiting: u32::try_from(self.room.waiting()).unwrap_or(u32::MAX),
            ..self.traffic.report(&self.arn, self.name())
        }
    }

    /// Returns the name in its ARN, or all of what is none.
    pub(crate) fn name(&self) -> &str {
        let mut parts = self.arn.split('/');
        parts.nth(1).unwrap_or(&self.arn)
    }

    /// Returns how many requests of `worker` have asked this group before.
    pub(crate) fn turn(&self, worker: usize) -> usize {
        self.turns.0[worker].0.fetch_add(1, Relaxed)
    }
}

/// Whose turn it is in a group, for each worker on a cache line of its own.
#[derive(Debug)]
pub(crate) struct Turns(Box<[Turn]>);

#[derive(Debug)]
#[repr(align(64))]
struct Turn(AtomicUsize);

impl Turns {
    /// Workers begin at different targets, so that they do not march in step.
    pub(crate) fn new(workers: usize) -> Self {
        Self(
            (0..workers)
                .map(|worker| Turn(AtomicUsize::new(worker)))
                .collect(),
        )
    }
}

/// Why a table is refused as a whole. What is in force stays in force.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    #[error("listener {listener} has port {port}; a port is 1 to 65535")]
    Port { listener: String, port: u32 },
    #[error("two listeners have port {port}")]
    PortTwice { port: u16 },
    #[error("listener {listener} speaks {protocol}; HTTP, HTTPS and TCP are known")]
    Protocol { listener: String, protocol: String },
    #[error(
        "a rule of listener {listener} forwards to {group}, which is no target group of this table"
    )]
    UnknownTargetGroup { listener: String, group: String },
    #[error("a rule of listener {listener} has `{value}`, which is not {what}")]
    Rule {
        listener: String,
        what: &'static str,
        value: String,
    },
    #[error("target group {group} has the algorithm {algorithm}, which is not known")]
    Algorithm { group: String, algorithm: String },
    #[error(
        "target group {group} has the protocol version {version}; HTTP1, HTTP2 and GRPC are known"
    )]
    ProtocolVersion { group: String, version: String },
    #[error("target group {group} has version {version} of the PROXY protocol; 1 and 2 are known")]
    ProxyProtocol { group: String, version: u32 },
    #[error("a rule of TCP listener {listener} does more than to forward by source and name")]
    TcpRule { listener: String },
    #[error("the health check of {group} speaks {protocol}; HTTP, HTTPS and TCP are known")]
    CheckProtocol { group: String, protocol: String },
    #[error("target group {group} is there twice")]
    TargetGroupTwice { group: String },
    #[error(
        "target {target} of {group} is at {address} port {port}; an IP address and a port of 1 to 65535 are needed"
    )]
    Address {
        group: String,
        target: String,
        address: String,
        port: u32,
    },
    #[error("target {target} of {group} is there twice")]
    TargetTwice { group: String, target: String },
    #[error(
        "the health check of {group} has success code {code}; a code is 100 to 999, and 0 to 99 of gRPC"
    )]
    SuccessCode { group: String, code: u32 },
    #[error("certificate {certificate} cannot be used")]
    Certificate {
        certificate: String,
        #[source]
        cause: CertificateError,
    },
    #[error("certificate {certificate} is there twice")]
    CertificateTwice { certificate: String },
    #[error("listener {listener} cannot shake hands as the table wants it")]
    Tls {
        listener: String,
        #[source]
        cause: TlsError,
    },
}

/// A table as received, checked.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) revision: u64,
    /// By port.
    pub(crate) listeners: BTreeMap<u16, ListenerDraft>,
    pub(crate) groups: Vec<GroupDraft>,
}

#[derive(Debug)]
pub(crate) struct GroupDraft {
    pub(crate) arn: String,
    /// `None`: every target counts as healthy.
    pub(crate) health_check: Option<HealthCheck>,
    pub(crate) deployment: String,
    pub(crate) targets: Vec<TargetDraft>,
    pub(crate) algorithm: Algorithm,
    pub(crate) slow_start: Option<Duration>,
    pub(crate) stickiness: Option<Stickiness>,
    /// How many requests each target gets at once; `None`: any number.
    pub(crate) requests_per_target: Option<NonZeroU32>,
    pub(crate) prefers_own_zone: bool,
    pub(crate) waiting: Waiting,
    /// What its targets speak.
    pub(crate) protocol: Protocol,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

#[derive(Debug)]
pub(crate) struct TargetDraft {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    /// Milliseconds since the epoch by which a draining target's requests must have ended.
    pub(crate) draining_until: Option<i64>,
    /// Its host has fallen silent.
    pub(crate) suspect: bool,
    /// Empty when it is not known.
    pub(crate) zone: String,
}

impl Draft {
    /// Checks a table; its certificates go to the keyring.
    pub(crate) fn read(table: &lb::Table, keyring: &mut Keyring) -> Result<Self, TableError> {
        let groups: Vec<GroupDraft> = table
            .target_groups
            .iter()
            .map(read_group)
            .collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        for group in &groups {
            if !names.insert(group.arn.as_str()) {
                let group = group.arn.clone();
                return Err(TableError::TargetGroupTwice { group });
            }
        }
        keyring.take(table)?;
        let mut listeners = BTreeMap::new();
        for listener in &table.listeners {
            let (port, draft) = listener::read(listener, &names, keyring)?;
            if listeners.insert(port, draft).is_some() {
                return Err(TableError::PortTwice { port });
            }
        }
        keyring.forget_all_but(table);
        Ok(Self {
            revision: table.revision,
            listeners,
            groups,
        })
    }
}

fn read_group(group: &lb::TargetGroup) -> Result<GroupDraft, TableError> {
    let arn = &group.target_group_arn;
    let mut ids = BTreeSet::new();
    let mut targets = Vec::with_capacity(group.targets.len());
    for target in &group.targets {
        if !ids.insert(&target.target_id) {
            return Err(TableError::TargetTwice {
                group: arn.clone(),
                target: target.target_id.clone(),
            });
        }
        let address = target.address.parse::<IpAddr>().ok().zip(port(target.port));
        let address = address.ok_or_else(|| TableError::Address {
            group: arn.clone(),
            target: target.target_id.clone(),
            address: target.address.clone(),
            port: target.port,
        })?;
        targets.push(TargetDraft {
            id: target.target_id.clone(),
            address: address.into(),
            draining_until: target.draining.then_some(target.drain_deadline),
            suspect: target.suspect,
            zone: target.zone.clone(),
        });
    }
    let check = group.health_check.as_ref();
    Ok(GroupDraft {
        arn: arn.clone(),
        health_check: check.map(|check| read_check(group, check)).transpose()?,
        deployment: group.deployment.clone(),
        targets,
        algorithm: read_algorithm(group)?,
        slow_start: seconds(group.slow_start_seconds),
        stickiness: group.stickiness.as_ref().and_then(read_stickiness),
        protocol: read_protocol(group)?,
        proxy_protocol: match group.proxy_protocol_version {
            0 => None,
            1 => Some(ProxyProtocol::V1),
            2 => Some(ProxyProtocol::V2),
            version => {
                return Err(TableError::ProxyProtocol {
                    group: arn.clone(),
                    version,
                });
            }
        },
        requests_per_target: NonZeroU32::new(group.requests_per_target),
        prefers_own_zone: group.prefers_own_zone,
        waiting: Waiting {
            most: usize::try_from(group.waiting).unwrap_or(usize::MAX),
            patience: seconds(group.waiting_seconds),
            paused_until: (group.paused_until > 0).then(|| instant_of(group.paused_until)),
        },
    })
}

fn read_algorithm(group: &lb::TargetGroup) -> Result<Algorithm, TableError> {
    match group.algorithm.as_str() {
        "" | "round_robin" => Ok(Algorithm::RoundRobin),
        "least_outstanding_requests" => Ok(Algorithm::LeastOutstandingRequests),
        "weighted_random" => Ok(Algorithm::WeightedRandom),
        other => Err(TableError::Algorithm {
            group: group.target_group_arn.clone(),
            algorithm: other.to_owned(),
        }),
    }
}

fn read_protocol(group: &lb::TargetGroup) -> Result<Protocol, TableError> {
    match group.protocol_version.as_str() {
        "" | "HTTP1" => Ok(Protocol::Http1),
        "HTTP2" | "GRPC" => Ok(Protocol::Http2),
        other => Err(TableError::ProtocolVersion {
            group: group.target_group_arn.clone(),
            version: other.to_owned(),
        }),
    }
}

fn read_stickiness(stickiness: &lb::Stickiness) -> Option<Stickiness> {
    let duration = seconds(stickiness.seconds)?;
    Some(match stickiness.application_cookie.as_str() {
        "" => Stickiness::LoadBalancer(duration),
        name => Stickiness::Application {
            name: name.to_owned(),
            duration,
        },
    })
}

fn seconds(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn read_question(group: &lb::TargetGroup, check: &lb::HealthCheck) -> Result<Question, TableError> {
    match (check.protocol.as_str(), group.protocol_version.as_str()) {
        ("" | "HTTP", "GRPC") => Ok(Question::Grpc),
        ("" | "HTTP", "HTTP2") => Ok(Question::Http2),
        ("" | "HTTP", _) => Ok(Question::Http1),
        ("HTTPS", _) => Ok(Question::Https),
        ("TCP", _) => Ok(Question::Connection),
        (other, _) => Err(TableError::CheckProtocol {
            group: group.target_group_arn.clone(),
            protocol: other.to_owned(),
        }),
    }
}

/// Zero and nothing stand for ELB's defaults.
fn read_check(group: &lb::TargetGroup, check: &lb::HealthCheck) -> Result<HealthCheck, TableError> {
    let arn = &group.target_group_arn;
    let question = read_question(group, check)?;
    let is_call = question == Question::Grpc;
    let (codes, usual) = if is_call {
        (0..=99, 12)
    } else {
        (100..=999, 200)
    };
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let code = |code: u32| match u16::try_from(code) {
        Ok(valid) if codes.contains(&valid) => Ok(valid),
        Ok(_) | Err(_) => Err(TableError::SuccessCode {
            group: arn.clone(),
            code,
        }),
    };
    let mut success_codes = Vec::with_capacity(check.success_codes.len());
    for range in &check.success_codes {
        success_codes.push(code(range.from)?..=code(range.to)?);
    }
    if success_codes.is_empty() {
        success_codes.push(usual..=usual);
    }
    let path = match check.path.as_str() {
        "" if is_call => "/AWS.ALB/healthcheck",
        "" => "/",
        path => path,
    };
    Ok(HealthCheck {
        question,
        path: path.to_owned(),
        interval: Duration::from_secs(or(check.interval_seconds, 30).into()),
        timeout: Duration::from_secs(or(check.timeout_seconds, 5).into()),
        healthy_threshold: or(check.healthy_threshold, 5),
        unhealthy_threshold: or(check.unhealthy_threshold, 2),
        success_codes,
        suspect: false,
    })
}

/// Returns the moment of so many milliseconds since the epoch; one that has passed is now.
pub(crate) fn instant_of(epoch_milliseconds: i64) -> Instant {
    let milliseconds = u64::try_from(epoch_milliseconds).unwrap_or(0);
    let moment = UNIX_EPOCH + Duration::from_millis(milliseconds);
    let left = moment.duration_since(SystemTime::now());
    // An error means that it has passed.
    Instant::now() + left.unwrap_or(Duration::ZERO)
}

fn port(port: u32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
