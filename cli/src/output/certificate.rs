//! Certificates, for people.

use roadstead_client::proto::acm::{CertificateDetail, CertificateSummary};

use super::grid::{fields, grid, joined, text, time};

/// Returns one row for each certificate.
pub(crate) fn list(certificates: &[CertificateSummary]) -> String {
    let rows = certificates.iter().map(|one| {
        let in_use = if one.in_use == Some(true) {
            "yes"
        } else {
            "no"
        };
        [
            text(one.domain_name.as_ref()),
            joined(&one.subject_alternative_name_summaries),
            text(one.status.as_ref()),
            time(one.not_after),
            in_use.to_owned(),
            text(one.certificate_arn.as_ref()),
        ]
    });
    grid(
        ["DOMAIN", "NAMES", "STATUS", "VALID UNTIL", "IN USE", "ARN"],
        rows,
    )
}

/// Returns what a certificate says.
pub(crate) fn detail(certificate: Option<&CertificateDetail>) -> String {
    let Some(one) = certificate else {
        return String::new();
    };
    fields([
        ("ARN", text(one.certificate_arn.as_ref())),
        ("Names", joined(&one.subject_alternative_names)),
        ("Status", text(one.status.as_ref())),
        ("Subject", text(one.subject.as_ref())),
        ("Issuer", text(one.issuer.as_ref())),
        ("Valid from", time(one.not_before)),
        ("Valid until", time(one.not_after)),
        ("Imported", time(one.imported_at)),
        ("In use by", joined(&one.in_use_by)),
    ])
}
