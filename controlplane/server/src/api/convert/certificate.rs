//! Certificates, without their keys: those never leave the control plane but for load balancers.

use roadstead_core::state::certificate::Certificate;
use roadstead_core::{ClusterState, Timestamp};
use roadstead_proto::acm;

use super::seconds;

/// Describes a certificate.
pub(crate) fn detail(
    state: &ClusterState,
    certificate: &Certificate,
    now: Timestamp,
) -> acm::CertificateDetail {
    let arns = state.arns();
    let users = state.listeners_with(&certificate.id);
    acm::CertificateDetail {
        certificate_arn: Some(arns.certificate(&certificate.id)),
        domain_name: certificate.domains.first().cloned(),
        subject_alternative_names: certificate.domains.clone(),
        subject: Some(certificate.subject.clone()),
        issuer: Some(certificate.issuer.clone()),
        imported_at: Some(seconds(certificate.imported_at)),
        status: Some(status(certificate, now)),
        not_before: Some(seconds(certificate.not_before)),
        not_after: Some(seconds(certificate.not_after)),
        in_use_by: users.map(|one| arns.listener(&one.id)).collect(),
        r#type: Some("IMPORTED".to_owned()),
    }
}

/// Describes a certificate in a list.
pub(crate) fn summary(
    state: &ClusterState,
    certificate: &Certificate,
    now: Timestamp,
) -> acm::CertificateSummary {
    acm::CertificateSummary {
        certificate_arn: Some(state.arns().certificate(&certificate.id)),
        domain_name: certificate.domains.first().cloned(),
        subject_alternative_name_summaries: certificate.domains.clone(),
        status: Some(status(certificate, now)),
        r#type: Some("IMPORTED".to_owned()),
        in_use: Some(state.listeners_with(&certificate.id).next().is_some()),
        not_before: Some(seconds(certificate.not_before)),
        not_after: Some(seconds(certificate.not_after)),
        imported_at: Some(seconds(certificate.imported_at)),
    }
}

fn status(certificate: &Certificate, now: Timestamp) -> String {
    let expired = now >= certificate.not_after;
    if expired { "EXPIRED" } else { "ISSUED" }.to_owned()
}
