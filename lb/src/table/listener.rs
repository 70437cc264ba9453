//! Reads a listener: how it speaks, whom it lets in, and what its rules are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;
use roadstead_proto::lb;

use super::{TableError, port, rule};
use crate::routing::{Action, Condition, Rule};
use crate::tls::{Keyring, Tls};
use crate::upstream::Transport;

/// A listener as received, checked; its rules name their groups.
#[derive(Debug)]
pub(crate) struct ListenerDraft {
    pub(crate) arn: String,
    pub(crate) speaks: Speaks,
    pub(crate) proxy_protocol: bool,
    pub(crate) access: Access,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) rules: Vec<Rule<String>>,
}

/// What a listener speaks with its clients.
#[derive(Debug, Clone)]
pub(crate) enum Speaks {
    Http,
    Https(Tls),
    /// It passes connections on as they are; `by_name` if a rule asks for the name that a client of TLS asks for.
    Tcp {
        by_name: bool,
    },
}

/// How many requests each client address may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) requests_per_second: NonZeroU32,
    /// So many may come at once.
    pub(crate) burst: NonZeroU32,
}

/// Who may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Empty: everybody.
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
}

impl Access {
    /// Returns whether a client of that address may connect; a denial counts more than a permission.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let among = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&address));
        !among(&self.denied) && (self.allowed.is_empty() || among(&self.allowed))
    }
}

/// Reads a listener, whose rules forward to some of `groups`; returns its port with it.
pub(super) fn read(
    listener: &lb::Listener,
    groups: &BTreeMap<&str, Transport>,
    keyring: &mut Keyring,
) -> Result<(u16, ListenerDraft), TableError> {
    let name = &listener.listener_arn;
    let port = port(listener.port).ok_or_else(|| TableError::Port {
        listener: name.clone(),
        port: listener.port,
    })?;
    let rules = listener.rules.iter();
    let rules = rules.map(|one| rule::read(name, one, groups));
    let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
    let tls = keyring.tls(listener).map_err(|cause| TableError::Tls {
        listener: name.clone(),
        cause,
    })?;
    let draft = ListenerDraft {
        arn: name.clone(),
        speaks: match (listener.protocol.as_str(), tls) {
            ("HTTP", _) => Speaks::Http,
            ("HTTPS", Some(tls)) => Speaks::Https(tls),
            ("TCP", _) => tcp(name, &rules, groups)?,
            (protocol, _) => {
                return Err(TableError::Protocol {
                    listener: name.clone(),
                    protocol: protocol.to_owned(),
                });
            }
        },
        proxy_protocol: listener.proxy_protocol,
        access: Access {
            allowed: ranges(name, &listener.allowed_source_ips)?,
            denied: ranges(name, &listener.denied_source_ips)?,
        },
        rate_limit: rate_limit(listener),
        rules,
    };
    Ok((port, draft))
}

/// Returns how a listener of TCP with these rules speaks.
fn tcp(
    listener: &str,
    rules: &[Rule<String>],
    groups: &BTreeMap<&str, Transport>,
) -> Result<Speaks, TableError> {
    let listener = || listener.to_owned();
    if !rules.iter().all(is_for_tcp) {
        let listener = listener();
        return Err(TableError::TcpRule { listener });
    }
    let forwards = rules.iter().filter_map(|rule| match &rule.action {
        Action::Forward(forward) => Some(&forward.groups),
        Action::Redirect(_) | Action::Fixed(_) => None,
    });
    // What is passed on as it is has no TLS of ours around it.
    let mut names = forwards.flatten().map(|one| one.group.as_str());
    let tls = names.find(|name| groups.get(name) == Some(&Transport::Tls));
    if let Some(group) = tls {
        let (listener, group) = (listener(), group.to_owned());
        return Err(TableError::TcpTarget { listener, group });
    }
    let by_name = rules.iter().any(asks_for_the_name);
    Ok(Speaks::Tcp { by_name })
}

fn is_for_tcp(rule: &Rule<String>) -> bool {
    let asks =
        |condition: &Condition| matches!(condition, Condition::Host(_) | Condition::Source(_));
    matches!(&rule.action, Action::Forward(forward) if forward.stickiness.is_none())
        && rule.conditions.iter().all(asks)
}

fn asks_for_the_name(rule: &Rule<String>) -> bool {
    let mut conditions = rule.conditions.iter();
    conditions.any(|condition| matches!(condition, Condition::Host(_)))
}

fn ranges(listener: &str, texts: &[String]) -> Result<Vec<IpNet>, TableError> {
    let each = texts.iter().map(|text| rule::source(listener, text));
    each.collect()
}

/// Without a burst of its own a listener lets through at once what it lets through in a second.
fn rate_limit(listener: &lb::Listener) -> Option<RateLimit> {
    let requests_per_second = NonZeroU32::new(listener.requests_per_second)?;
    Some(RateLimit {
        requests_per_second,
        burst: NonZeroU32::new(listener.burst).unwrap_or(requests_per_second),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_counts_more_than_a_permission_and_an_empty_list_permits_all() {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let access = |allowed: &[&str], denied: &[&str]| Access {
            allowed: ranges(allowed),
            denied: ranges(denied),
        };
        let admits = |access: &Access, text: &str| access.admits(text.parse().unwrap());
        assert!(admits(&access(&[], &[]), "192.0.2.1"));
        let office = access(&["192.0.2.0/24", "2001:db8::/32"], &["192.0.2.66/32"]);
        assert!(admits(&office, "192.0.2.1"));
        assert!(admits(&office, "::ffff:192.0.2.1"));
        assert!(admits(&office, "2001:db8::1"));
        assert!(!admits(&office, "192.0.2.66"));
        assert!(!admits(&office, "198.51.100.1"));
        assert!(!admits(&access(&[], &["192.0.2.0/24"]), "192.0.2.1"));
    }
}
