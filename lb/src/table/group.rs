//! A target group of a table: its targets, how they are picked, and how they are probed.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use roadstead_proto::lb;

use super::{Stickiness, TableError, Waiting, instant_of, port};
use crate::balance::Algorithm;
use crate::client::ProxyProtocol;
use crate::health::{HealthCheck, Question};
use crate::upstream::{Protocol, Transport};

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
    pub(crate) protocol_version: ProtocolVersion,
    pub(crate) transport: Transport,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

/// What the targets of a group speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolVersion {
    Http1,
    Http2,
    /// HTTP/2, and calls of gRPC in it.
    Grpc,
}

impl ProtocolVersion {
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Http1 => Protocol::Http1,
            Self::Http2 | Self::Grpc => Protocol::Http2,
        }
    }
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

pub(super) fn read(group: &lb::TargetGroup) -> Result<GroupDraft, TableError> {
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
        protocol_version: read_protocol_version(group)?,
        transport: read_transport(group)?,
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

fn read_protocol_version(group: &lb::TargetGroup) -> Result<ProtocolVersion, TableError> {
    match group.protocol_version.as_str() {
        "" | "HTTP1" => Ok(ProtocolVersion::Http1),
        "HTTP2" => Ok(ProtocolVersion::Http2),
        "GRPC" => Ok(ProtocolVersion::Grpc),
        other => Err(TableError::ProtocolVersion {
            group: group.target_group_arn.clone(),
            version: other.to_owned(),
        }),
    }
}

fn read_transport(group: &lb::TargetGroup) -> Result<Transport, TableError> {
    match group.protocol.as_str() {
        "" | "HTTP" | "TCP" => Ok(Transport::Plain),
        "HTTPS" => Ok(Transport::Tls),
        other => Err(TableError::TargetProtocol {
            group: group.target_group_arn.clone(),
            protocol: other.to_owned(),
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

/// Returns what a probe asks, and in what it is wrapped. Without a word it is asked as requests are.
fn read_question(
    group: &lb::TargetGroup,
    check: &lb::HealthCheck,
) -> Result<(Question, Transport), TableError> {
    let of_group = read_transport(group)?;
    let transport = match (check.protocol.as_str(), group.protocol.as_str()) {
        ("TCP", _) | ("", "TCP") => return Ok((Question::Connection, Transport::Plain)),
        ("", _) => of_group,
        ("HTTP", _) => Transport::Plain,
        ("HTTPS", _) => Transport::Tls,
        (other, _) => {
            return Err(TableError::CheckProtocol {
                group: group.target_group_arn.clone(),
                protocol: other.to_owned(),
            });
        }
    };
    // Targets that get their requests without TLS have something else there.
    if transport == Transport::Tls && transport != of_group {
        return Ok((Question::Http1, transport));
    }
    let question = match read_protocol_version(group)? {
        ProtocolVersion::Http1 => Question::Http1,
        ProtocolVersion::Http2 => Question::Http2,
        ProtocolVersion::Grpc => Question::Grpc,
    };
    Ok((question, transport))
}

/// Zero and nothing stand for ELB's defaults.
fn read_check(group: &lb::TargetGroup, check: &lb::HealthCheck) -> Result<HealthCheck, TableError> {
    let arn = &group.target_group_arn;
    let (question, transport) = read_question(group, check)?;
    let is_call = question == Question::Grpc;
    let (codes, usual) = if is_call {
        (0..=99, 12)
    } else {
        (100..=999, 200)
    };
    // NLB's, and ALB's.
    let usual_timeout = if question == Question::Connection {
        10
    } else {
        5
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
        transport,
        path: path.to_owned(),
        interval: Duration::from_secs(or(check.interval_seconds, 30).into()),
        timeout: Duration::from_secs(or(check.timeout_seconds, usual_timeout).into()),
        healthy_threshold: or(check.healthy_threshold, 5),
        unhealthy_threshold: or(check.unhealthy_threshold, 2),
        success_codes,
        suspect: false,
    })
}
