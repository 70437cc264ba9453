//! What targets speak, and in what they are asked how they fare.

use serde::{Deserialize, Serialize};

/// What is sent to the targets of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetProtocol {
    /// Requests.
    #[default]
    Http,
    /// Connections as they are.
    Tcp,
    /// Requests, over TLS.
    Https,
}

impl TargetProtocol {
    /// Returns its name, as ELB has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Tcp => "TCP",
            Self::Https => "HTTPS",
        }
    }
}

/// How the targets of a TCP group are told whose connection they get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyProtocol {
    #[default]
    Off,
    V1,
    V2,
}

impl ProxyProtocol {
    /// Returns the version of the header; 0 without one.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// What the targets of a group speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProtocolVersion {
    #[default]
    Http1,
    Http2,
    Grpc,
}

impl ProtocolVersion {
    /// Every version.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];

    /// Returns its name, as ELB has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP1",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
        }
    }
}

/// In what a target is asked how it fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthCheckProtocol {
    /// In the version of HTTP that it speaks.
    #[default]
    Http,
    Https,
    /// A connection is enough.
    Tcp,
}

impl HealthCheckProtocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Http, Self::Https, Self::Tcp];

    /// Returns its name, as ELB has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
        }
    }
}
