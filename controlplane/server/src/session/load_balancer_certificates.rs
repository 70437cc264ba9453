//! The certificates of a routing table, with their private keys.

use std::collections::BTreeSet;

use roadstead_core::ClusterState;
use roadstead_core::id::CertificateId;
use roadstead_proto::lb::{Certificate, Table};
use tonic::Status;
use tracing::error;

use crate::sealing::{self, Sealed, Sealing};

/// Adds the certificates that listeners use. A key that nobody can open any more costs the listeners that have no other, and
/// not the whole table; one that cannot be had at the moment ends the session, and the load balancer serves on as before.
pub(super) async fn add(
    table: &mut Table,
    state: &ClusterState,
    sealing: &Sealing,
) -> Result<(), Status> {
    let listeners = state.listeners.values();
    let used: BTreeSet<&CertificateId> = listeners
        .flat_map(|listener| listener.protocol.certificates())
        .collect();
    let arns = state.arns();
    let mut lost = BTreeSet::new();
    for certificate in used.into_iter().filter_map(|id| state.certificates.get(id)) {
        let sealed = Sealed {
            bytes: certificate.sealed_key.clone(),
            with: certificate.sealed_with.clone(),
        };
        let certificate_arn = arns.certificate(&certificate.id);
        match sealing
            .open(&sealing::certificate(&certificate.id), &sealed)
            .await
        {
            Ok(key) => table.certificates.push(Certificate {
                certificate_arn,
                chain: certificate.chain.clone(),
                private_key: String::from_utf8_lossy(&key).into_owned(),
            }),
            Err(failure) if failure.is_final() => {
                let error = &failure as &dyn std::error::Error;
                error!(
                    certificate_arn,
                    error, "a certificate cannot be used; import it anew"
                );
                lost.insert(certificate_arn);
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    leave_out(table, &lost);
    Ok(())
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
