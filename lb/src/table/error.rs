//! Why a table is refused.

use crate::tls::{CertificateError, TlsError};

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
    #[error("target group {group} speaks {protocol}; HTTP, HTTPS and TCP are known")]
    TargetProtocol { group: String, protocol: String },
    #[error("target group {group} has version {version} of the PROXY protocol; 1 and 2 are known")]
    ProxyProtocol { group: String, version: u32 },
    #[error("a rule of TCP listener {listener} does more than to forward by source and name")]
    TcpRule { listener: String },
    #[error(
        "TCP listener {listener} forwards to {group}, whose targets are spoken to in TLS; it can only pass on what clients say"
    )]
    TcpTarget { listener: String, group: String },
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
