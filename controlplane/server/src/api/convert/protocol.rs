//! What listeners speak, and the certificates with which they do.

use std::sync::Arc;

use roadstead_core::Rejection;
use roadstead_core::arn::Arns;
use roadstead_core::id::CertificateId;
use roadstead_core::state::load_balancer::{ListenerProtocol, Tls};
use roadstead_proto::elb;
use rustls::crypto::ring::default_provider;

use super::name;
use crate::certificate;

/// What a request says of a listener's protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) protocol: Option<&'a str>,
    pub(crate) certificates: &'a [elb::Certificate],
    pub(crate) mutual_authentication: Option<&'a elb::MutualAuthenticationAttributes>,
}

/// Describes certificates; the first of all is the default one.
pub(crate) fn certificates_to_proto(
    arns: &Arns,
    certificates: &[CertificateId],
) -> Vec<elb::Certificate> {
    let each = certificates.iter().enumerate();
    each.map(|(at, id)| elb::Certificate {
        certificate_arn: Some(arns.certificate(id)),
        is_default: Some(at == 0),
    })
    .collect()
}

/// Describes how clients prove who they are; nothing for a listener without TLS.
pub(super) fn mutual_authentication(
    protocol: &ListenerProtocol,
) -> Option<elb::MutualAuthenticationAttributes> {
    let ListenerProtocol::Https(tls) = protocol else {
        return None;
    };
    let mode = if tls.client_authority.is_some() {
        "verify"
    } else {
        "off"
    };
    Some(elb::MutualAuthenticationAttributes {
        mode: Some(mode.to_owned()),
        client_authority: tls.client_authority.clone(),
    })
}

/// Reads certificates.
pub(crate) fn certificates(given: &[elb::Certificate]) -> Result<Vec<CertificateId>, Rejection> {
    let ids = given.iter().map(|one| {
        if one.is_default.is_some() {
            return Err(Rejection::validation(
                "isDefault cannot be set; certificates of a listener's own settings are the default",
            ));
        }
        name::certificate(one.certificate_arn.as_deref())
    });
    ids.collect()
}

impl Wanted<'_> {
    /// Returns the protocol of a new listener.
    pub(crate) fn create(self) -> Result<ListenerProtocol, Rejection> {
        match self.protocol {
            None | Some("HTTP") => self.plain(ListenerProtocol::Http),
            Some("TCP") => self.plain(ListenerProtocol::Tcp),
            Some("HTTPS") => Ok(ListenerProtocol::Https(Tls {
                certificates: self.default_certificate()?,
                client_authority: self.client_authority()?.flatten(),
            })),
            Some(other) => Err(unknown(other)),
        }
    }

    /// Returns what a listener speaks after a change; `None` when nothing changes.
    pub(crate) fn modify(
        self,
        known: &ListenerProtocol,
    ) -> Result<Option<ListenerProtocol>, Rejection> {
        let protocol = self.protocol.unwrap_or(known.name());
        match (protocol, known) {
            ("HTTP", _) => {
                let plain = self.plain(ListenerProtocol::Http)?;
                Ok((plain != *known).then_some(plain))
            }
            ("TCP", _) => {
                let plain = self.plain(ListenerProtocol::Tcp)?;
                Ok((plain != *known).then_some(plain))
            }
            ("HTTPS", ListenerProtocol::Http | ListenerProtocol::Tcp) => self.create().map(Some),
            ("HTTPS", ListenerProtocol::Https(tls)) => {
                let mut changed = tls.clone();
                if !self.certificates.is_empty() {
                    let default = self.default_certificate()?;
                    let others = tls.certificates.iter().skip(1).cloned();
                    changed.certificates = default.clone();
                    changed
                        .certificates
                        .extend(others.filter(|one| !default.contains(one)));
                }
                if let Some(authority) = self.client_authority()? {
                    changed.client_authority = authority;
                }
                Ok((changed != *tls).then_some(ListenerProtocol::Https(changed)))
            }
            (other, _) => Err(unknown(other)),
        }
    }

    fn plain(self, protocol: ListenerProtocol) -> Result<ListenerProtocol, Rejection> {
        if !self.certificates.is_empty() || self.mutual_authentication.is_some() {
            return Err(Rejection::validation(
                "certificates and mutualAuthentication go with protocol HTTPS",
            ));
        }
        Ok(protocol)
    }

    /// ELB: a listener's own settings name one; others are added by AddListenerCertificates.
    fn default_certificate(self) -> Result<Vec<CertificateId>, Rejection> {
        if self.certificates.len() > 1 {
            return Err(Rejection::validation(
                "certificates must be one, the default; add others with AddListenerCertificates",
            ));
        }
        certificates(self.certificates)
    }

    /// Returns the authority of clients; the outer `None` says nothing of it.
    fn client_authority(self) -> Result<Option<Option<String>>, Rejection> {
        let Some(attributes) = self.mutual_authentication else {
            return Ok(None);
        };
        match (attributes.mode.as_deref(), &attributes.client_authority) {
            (Some("off"), None) => Ok(Some(None)),
            (Some("verify"), Some(pem)) => {
                let read = certificate::read_authority(pem, &Arc::new(default_provider()));
                let read = read.map_err(|error| {
                    Rejection::validation(format!("clientAuthority cannot be used: {error}"))
                })?;
                Ok(Some(Some(read)))
            }
            (Some("off"), Some(_)) => Err(Rejection::validation(
                "clientAuthority goes with mode verify, not off",
            )),
            (Some("verify"), None) => Err(Rejection::validation(
                "mode verify needs clientAuthority, the PEM of who signs clients' certificates",
            )),
            (other, _) => Err(Rejection::validation(format!(
                "mutualAuthentication mode '{}' is not supported; use off or verify",
                other.unwrap_or_default()
            ))),
        }
    }
}

fn unknown(protocol: &str) -> Rejection {
    Rejection::validation(format!(
        "protocol '{protocol}' is not supported; use HTTP, HTTPS or TCP"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(id: &str) -> elb::Certificate {
        elb::Certificate {
            certificate_arn: Some(format!("arn:aws:acm:local:000000000000:certificate/{id}")),
            is_default: None,
        }
    }

    fn https(ids: &[&str]) -> ListenerProtocol {
        ListenerProtocol::Https(Tls {
            certificates: ids.iter().map(|id| CertificateId::new(*id)).collect(),
            client_authority: None,
        })
    }

    fn wanted<'a>(protocol: Option<&'a str>, certificates: &'a [elb::Certificate]) -> Wanted<'a> {
        Wanted {
            protocol,
            certificates,
            mutual_authentication: None,
        }
    }

    #[test]
    fn a_listener_speaks_http_unless_it_is_told_otherwise() {
        assert_eq!(wanted(None, &[]).create().unwrap(), ListenerProtocol::Http);
        let certificates = [arn("a")];
        assert_eq!(
            wanted(Some("TCP"), &[]).create().unwrap(),
            ListenerProtocol::Tcp
        );
        let https_wanted = wanted(Some("HTTPS"), &certificates);
        assert_eq!(https_wanted.create().unwrap(), https(&["a"]));
        for (refused, names) in [
            (wanted(Some("UDP"), &[]), "UDP"),
            (wanted(Some("TCP"), &certificates), "HTTPS"),
            (wanted(Some("HTTP"), &certificates), "HTTPS"),
            (
                wanted(Some("HTTPS"), &[arn("a"), arn("b")]),
                "AddListenerCertificates",
            ),
        ] {
            let message = refused.create().unwrap_err().message;
            assert!(message.contains(names), "{message}");
        }
    }

    #[test]
    fn a_new_default_certificate_leaves_the_others() {
        let known = https(&["a", "b", "c"]);
        let modify = |id: &str| {
            let certificates = [arn(id)];
            wanted(None, &certificates).modify(&known).unwrap()
        };
        assert_eq!(modify("d"), Some(https(&["d", "b", "c"])));
        assert_eq!(modify("c"), Some(https(&["c", "b"])));
        assert_eq!(modify("a"), None);
        let plain = wanted(Some("HTTP"), &[]).modify(&known).unwrap();
        assert_eq!(plain, Some(ListenerProtocol::Http));
    }

    #[test]
    fn an_authority_of_clients_goes_with_its_mode() {
        let read = |mode: &str, pem: Option<&str>| {
            let attributes = elb::MutualAuthenticationAttributes {
                mode: Some(mode.into()),
                client_authority: pem.map(str::to_owned),
            };
            let certificates = [arn("a")];
            let wanted = Wanted {
                mutual_authentication: Some(&attributes),
                ..wanted(Some("HTTPS"), &certificates)
            };
            wanted.create().map_err(|rejection| rejection.message)
        };
        assert_eq!(read("off", None), Ok(https(&["a"])));
        assert!(
            read("verify", None)
                .unwrap_err()
                .contains("needs clientAuthority")
        );
        assert!(
            read("verify", Some("no PEM"))
                .unwrap_err()
                .contains("BEGIN CERTIFICATE")
        );
        assert!(
            read("passthrough", None)
                .unwrap_err()
                .contains("passthrough")
        );
    }
}
