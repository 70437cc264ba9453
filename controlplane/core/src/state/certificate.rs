//! Certificates with which listeners prove who they are. Their private keys are sealed: no state, log or snapshot can be read
//! for them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use crate::id::CertificateId;
use crate::{Event, Exception, Rejection, Timestamp};

/// ACM: 2,500 imported certificates in a region.
const MOST_CERTIFICATES: usize = 2_500;
/// The most bytes of a certificate with its chain: one of ten certificates with large RSA keys has a third of this.
pub const MOST_CHAIN_BYTES: usize = 64 * 1024;
/// The most bytes of a private key, sealed.
pub const MOST_KEY_BYTES: usize = 16 * 1024;

/// A certificate that a user brought.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub id: CertificateId,
    /// PEM, the leaf first.
    pub chain: String,
    /// The private key, sealed.
    pub sealed_key: Vec<u8>,
    /// The fingerprint of the key that sealed it.
    pub sealed_with: String,
    /// The DNS names that it is for, the first one its own.
    pub domains: Vec<String>,
    pub subject: String,
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub imported_at: Timestamp,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificate")
            .field("id", &self.id)
            .field("domains", &self.domains)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl ClusterState {
    /// Names the key that seals secrets, in the place of `replaces`; of several at once, the first wins.
    pub(super) fn name_sealing_key(
        &mut self,
        fingerprint: String,
        replaces: Option<&str>,
    ) -> Result<Vec<Event>, Rejection> {
        if self.sealing_key.as_deref() != replaces {
            return Err(Rejection::stale("secrets are sealed with another key"));
        }
        self.sealing_key = Some(fingerprint);
        Ok(vec![Event::SealingKeyNamed])
    }

    /// Takes in a certificate, in the place of the one with its id if there is one.
    pub(super) fn import_certificate(
        &mut self,
        certificate: Certificate,
        replaces: bool,
    ) -> Result<Vec<Event>, Rejection> {
        if self.sealing_key.is_none() {
            return Err(Rejection::stale("there is no key to seal with yet"));
        }
        for (what, length, most) in [
            (
                "certificate chain",
                certificate.chain.len(),
                MOST_CHAIN_BYTES,
            ),
            ("private key", certificate.sealed_key.len(), MOST_KEY_BYTES),
        ] {
            if length > most {
                return Err(Rejection::validation(format!(
                    "the {what} has {length} bytes; at most {most} are taken"
                )));
            }
        }
        let known = self.certificates.contains_key(&certificate.id);
        if replaces && !known {
            return Err(certificate_not_found(&certificate.id));
        }
        if !known && self.certificates.len() >= MOST_CERTIFICATES {
            return Err(Rejection::new(
                Exception::LimitExceeded,
                format!(
                    "there are {MOST_CERTIFICATES} certificates already, which is the most; delete some"
                ),
            ));
        }
        let id = certificate.id.clone();
        self.certificates.insert(id, Arc::new(certificate));
        Ok(self.routing_changed())
    }

    pub(super) fn delete_certificate(
        &mut self,
        id: &CertificateId,
    ) -> Result<Vec<Event>, Rejection> {
        if !self.certificates.contains_key(id) {
            return Err(certificate_not_found(id));
        }
        let user = self.listeners_with(id).next();
        if let Some(listener) = user {
            return Err(Rejection::new(
                Exception::ResourceInUse,
                format!(
                    "certificate '{id}' is in use by the listener on port {} of load balancer '{}'",
                    listener.port, listener.id.load_balancer
                ),
            ));
        }
        self.certificates.remove(id);
        Ok(self.routing_changed())
    }

    /// Returns the certificate.
    ///
    /// # Errors
    /// `CertificateNotFound`.
    pub fn certificate(&self, id: &CertificateId) -> Result<&Arc<Certificate>, Rejection> {
        let found = self.certificates.get(id);
        found.ok_or_else(|| certificate_not_found(id))
    }
}

fn certificate_not_found(id: &CertificateId) -> Rejection {
    Rejection::new(
        Exception::CertificateNotFound,
        format!("Certificate '{id}' not found"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    fn certificate(id: &str) -> Certificate {
        Certificate {
            id: CertificateId::new(id),
            chain: "chain".into(),
            sealed_key: vec![1],
            sealed_with: "one".into(),
            domains: vec!["a.example".into()],
            subject: "CN=a.example".into(),
            issuer: "CN=ca".into(),
            not_before: Timestamp(0),
            not_after: Timestamp(1),
            imported_at: Timestamp(0),
        }
    }

    fn import(state: &mut ClusterState, id: &str, replaces: bool) -> Result<(), Rejection> {
        let certificate = certificate(id);
        let command = Command::ImportCertificate {
            certificate,
            replaces,
        };
        state.apply(command).map(drop)
    }

    #[test]
    fn the_first_sealing_key_stays_unless_it_is_replaced_by_name() {
        let mut state = ClusterState::default();
        assert!(import(&mut state, "c1", false).is_err());
        for (fingerprint, replaces, named) in [
            ("one", None, true),
            ("two", None, false),
            ("two", Some("other"), false),
            ("two", Some("one"), true),
        ] {
            let outcome = state.apply(Command::NameSealingKey {
                fingerprint: fingerprint.to_owned(),
                replaces: replaces.map(str::to_owned),
            });
            assert_eq!(outcome.is_ok(), named);
        }
        assert_eq!(state.sealing_key.as_deref(), Some("two"));
        import(&mut state, "c1", false).unwrap();
    }

    #[test]
    fn only_what_is_there_is_replaced_and_a_key_is_not_shown() {
        let mut state = ClusterState {
            sealing_key: Some("one".into()),
            ..ClusterState::default()
        };
        let missing = import(&mut state, "c1", true).unwrap_err();
        assert_eq!(missing.exception, Exception::CertificateNotFound);
        import(&mut state, "c1", false).unwrap();
        import(&mut state, "c1", true).unwrap();
        let shown = format!("{:?}", certificate("c1"));
        assert!(shown.contains("c1") && !shown.contains("sealed"), "{shown}");
    }
}
