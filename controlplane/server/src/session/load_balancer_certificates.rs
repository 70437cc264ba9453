//! The certificates of a routing table, with their private keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roadstead_core::ClusterState;
use roadstead_core::id::CertificateId;
use roadstead_core::state::certificate::Certificate;
use roadstead_proto::lb::{self, Table};
use tonic::Status;
use tracing::error;

use crate::sealing::{self, Sealing, SealingError};

/// What a session has opened: a table costs what is new in it.
#[derive(Debug, Default)]
pub(super) struct Certificates(BTreeMap<CertificateId, (Arc<Certificate>, lb::Certificate)>);

impl Certificates {
    /// Adds the certificates that listeners use. A key that nobody can open any more costs the listeners that have no other, and
    /// not the whole table; one that cannot be had at the moment ends the session, and the load balancer serves on as before.
    pub(super) async fn add(
        &mut self,
        table: &mut Table,
        state: &ClusterState,
        sealing: &Sealing,
    ) -> Result<(), Status> {
        let listeners = state.listeners.values();
        let used: BTreeSet<&CertificateId> = listeners
            .flat_map(|listener| listener.protocol.certificates())
            .collect();
        let arns = state.arns();
        let mut before = std::mem::take(&mut self.0);
        let (mut lost, mut lost_keys) = (BTreeSet::new(), BTreeSet::new());
        for certificate in used.into_iter().filter_map(|id| state.certificates.get(id)) {
            let arn = arns.certificate(&certificate.id);
            let known = before.remove(&certificate.id);
            let known = known.filter(|(from, _)| Arc::ptr_eq(from, certificate));
            let opened = match known {
                Some((_, opened)) => opened,
                // The other servers were asked for it a moment ago.
                None if lost_keys.contains(&certificate.sealed_with) => {
                    lost.insert(arn);
                    continue;
                }
                None => match open(certificate, &arn, sealing).await {
                    Ok(opened) => opened,
                    Err(failure) if failure.is_final() => {
                        let error = &failure as &dyn std::error::Error;
                        error!(certificate_arn = arn, error, "cannot open a private key");
                        if matches!(failure, SealingError::Lost(_)) {
                            lost_keys.insert(certificate.sealed_with.clone());
                        }
                        lost.insert(arn);
                        continue;
                    }
                    Err(failure) => return Err(failure.into()),
                },
            };
            table.certificates.push(opened.clone());
            let id = certificate.id.clone();
            self.0.insert(id, (Arc::clone(certificate), opened));
        }
        if !lost.is_empty() {
            error!(certificates = ?lost, "certificates cannot be used; import them anew");
        }
        leave_out(table, &lost);
        Ok(())
    }
}

async fn open(
    certificate: &Certificate,
    certificate_arn: &str,
    sealing: &Sealing,
) -> Result<lb::Certificate, SealingError> {
    let name = sealing::certificate(&certificate.id);
    let key = sealing
        .open(&name, &certificate.sealed_key, &certificate.sealed_with)
        .await?;
    Ok(lb::Certificate {
        certificate_arn: certificate_arn.to_owned(),
        chain: certificate.chain.clone(),
        private_key: String::from_utf8_lossy(&key).into_owned(),
    })
}

fn leave_out(table: &mut Table, lost: &BTreeSet<String>) {
    for listener in &mut table.listeners {
        listener.certificate_arns.retain(|arn| !lost.contains(arn));
    }
    table
        .listeners
        .retain(|listener| listener.protocol != "HTTPS" || !listener.certificate_arns.is_empty());
}

#[cfg(test)]
mod tests {
    use roadstead_proto::lb::Listener;

    use super::*;

    #[test]
    fn a_lost_certificate_costs_the_listeners_that_have_no_other() {
        let listener = |port, protocol: &str, arns: &[&str]| Listener {
            port,
            protocol: protocol.to_owned(),
            certificate_arns: arns.iter().map(|arn| (*arn).to_owned()).collect(),
            ..Listener::default()
        };
        let mut table = Table {
            listeners: vec![
                listener(80, "HTTP", &[]),
                listener(443, "HTTPS", &["lost", "there"]),
                listener(444, "HTTPS", &["lost"]),
            ],
            ..Table::default()
        };
        leave_out(&mut table, &BTreeSet::from(["lost".to_owned()]));
        let left: Vec<_> = table.listeners.iter().map(|one| one.port).collect();
        assert_eq!(left, [80, 443]);
        assert_eq!(table.listeners[1].certificate_arns, ["there"]);
    }
}
