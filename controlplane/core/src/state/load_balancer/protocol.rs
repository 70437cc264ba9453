//! What a listener speaks with its clients.

use serde::{Deserialize, Serialize};

use super::{Action, Condition, Listener};
use crate::id::{CertificateId, ListenerRef};
use crate::state::ClusterState;
use crate::state::target_group::TargetProtocol;
use crate::{Event, Exception, Rejection};

/// ALB: 25 certificates for each load balancer besides the default one; here for each listener.
const MOST_CERTIFICATES: usize = 26;
/// A bundle of authorities.
const MOST_AUTHORITY_BYTES: usize = 64 * 1024;

/// How a listener is secured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Chosen by the name that the client asks for; the first is for all other names.
    pub certificates: Vec<CertificateId>,
    /// PEM: clients must have a certificate that one of these has signed.
    pub client_authority: Option<String>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerProtocol {
    #[default]
    Http,
    Https(Tls),
    /// Passes connections on as they are.
    Tcp,
}

impl ListenerProtocol {
    /// Returns the name, as ELB has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https(_) => "HTTPS",
            Self::Tcp => "TCP",
        }
    }

    /// Returns the certificates, the default one first.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateId] {
        match self {
            Self::Http | Self::Tcp => &[],
            Self::Https(tls) => &tls.certificates,
        }
    }
}

impl ClusterState {
    /// Checks that what a listener speaks goes with its rules and its target groups.
    pub(super) fn check_fits(&self, listener: &Listener) -> Result<(), Rejection> {
        let is_tcp = listener.protocol == ListenerProtocol::Tcp;
        let rules = listener.rules.iter().map(|(_, rule)| rule);
        let actions = rules.clone().map(|rule| &rule.action);
        let actions = actions.chain([&listener.default]);
        for action in actions.clone() {
            for forward in action.forwards() {
                let group = self.target_groups.get(&forward.target_group);
                let protocol = group.map(|group| group.spec.protocol);
                if protocol.is_some_and(|protocol| (protocol == TargetProtocol::Tcp) != is_tcp) {
                    return Err(Rejection::validation(format!(
                        "target group '{}' does not go with a listener that speaks {}",
                        forward.target_group,
                        listener.protocol.name()
                    )));
                }
            }
        }
        if !is_tcp {
            return Ok(());
        }
        let plain = |action: &Action| {
            matches!(
                action,
                Action::Forward {
                    stickiness: None,
                    ..
                }
            )
        };
        if !actions.into_iter().all(plain) {
            return Err(Rejection::validation(
                "a listener that speaks TCP can only forward, without stickiness",
            ));
        }
        let mut conditions = rules.flat_map(|rule| &rule.conditions);
        let fits = |condition: &&Condition| {
            matches!(condition, Condition::HostHeader(_) | Condition::SourceIp(_))
        };
        match conditions.find(|condition| !fits(condition)) {
            Some(condition) => Err(Rejection::validation(format!(
                "a listener that speaks TCP has no {} conditions; host-header, which is the name that a client of TLS asks for, and source-ip are known",
                condition.field()
            ))),
            None => Ok(()),
        }
    }

    /// Returns the listeners that use a certificate.
    pub fn listeners_with<'a>(
        &'a self,
        certificate: &'a CertificateId,
    ) -> impl Iterator<Item = &'a Listener> {
        let listeners = self.listeners.values().map(AsRef::as_ref);
        listeners.filter(move |one| one.protocol.certificates().contains(certificate))
    }

    pub(super) fn check_protocol(&self, protocol: &ListenerProtocol) -> Result<(), Rejection> {
        let ListenerProtocol::Https(tls) = protocol else {
            return Ok(());
        };
        if tls.certificates.is_empty() {
            return Err(Rejection::new(
                Exception::CertificateNotFound,
                "A certificate must be specified for HTTPS listeners",
            ));
        }
        if tls.certificates.len() > MOST_CERTIFICATES {
            return Err(Rejection::new(
                Exception::TooManyCertificates,
                format!("a listener has at most {MOST_CERTIFICATES} certificates"),
            ));
        }
        for (at, id) in tls.certificates.iter().enumerate() {
            self.certificate(id)?;
            if tls.certificates[..at].contains(id) {
                return Err(Rejection::validation(format!(
                    "certificate '{id}' is given twice"
                )));
            }
        }
        let authority = tls.client_authority.as_ref();
        if authority.is_some_and(|pem| pem.len() > MOST_AUTHORITY_BYTES) {
            return Err(Rejection::validation(format!(
                "the client authority must have at most {MOST_AUTHORITY_BYTES} bytes"
            )));
        }
        Ok(())
    }

    /// Adds certificates; those that are there stay.
    pub(in crate::state) fn add_listener_certificates(
        &mut self,
        id: &ListenerRef,
        certificates: &[CertificateId],
    ) -> Result<Vec<Event>, Rejection> {
        self.change_certificates(id, |known| {
            for certificate in certificates {
                if !known.contains(certificate) {
                    known.push(certificate.clone());
                }
            }
            Ok(())
        })
    }

    /// Removes certificates, but not the default one.
    pub(in crate::state) fn remove_listener_certificates(
        &mut self,
        id: &ListenerRef,
        certificates: &[CertificateId],
    ) -> Result<Vec<Event>, Rejection> {
        self.change_certificates(id, |known| {
            if let Some(default) = known.first().filter(|one| certificates.contains(one)) {
                return Err(Rejection::new(
                    Exception::OperationNotPermitted,
                    format!("certificate '{default}' is the listener's default; modify the listener to give it another"),
                ));
            }
            known.retain(|one| !certificates.contains(one));
            Ok(())
        })
    }

    fn change_certificates(
        &mut self,
        id: &ListenerRef,
        change: impl FnOnce(&mut Vec<CertificateId>) -> Result<(), Rejection>,
    ) -> Result<Vec<Event>, Rejection> {
        let mut changed = self.listener(id)?.as_ref().clone();
        let ListenerProtocol::Https(tls) = &mut changed.protocol else {
            return Err(Rejection::validation(format!(
                "the listener on port {} speaks {} and has no certificates",
                changed.port,
                changed.protocol.name()
            )));
        };
        change(&mut tls.certificates)?;
        self.check_protocol(&changed.protocol)?;
        self.replace_listener(changed)
    }
}
