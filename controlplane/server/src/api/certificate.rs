//! Operations on certificates that users bring.

use roadstead_core::id::CertificateId;
use roadstead_core::state::certificate::{Certificate, MOST_CHAIN_BYTES, MOST_KEY_BYTES};
use roadstead_core::{Command, Rejection};
use roadstead_proto::acm::{
    DeleteCertificateRequest, DeleteCertificateResponse, DescribeCertificateRequest,
    DescribeCertificateResponse, ImportCertificateRequest, ImportCertificateResponse,
    ListCertificatesRequest, ListCertificatesResponse,
};
use rustls::crypto::ring::default_provider;

use super::Api;
use super::convert::{certificate as convert, name};
use super::page::{Wanted, page};
use super::status::Refusal;
use crate::{certificate, clock, id, sealing};

pub(super) async fn import(
    api: &Api,
    request: ImportCertificateRequest,
) -> Result<ImportCertificateResponse, Refusal> {
    let replaced = request.certificate_arn.as_deref();
    let replaced = replaced
        .map(|arn| name::certificate(Some(arn)))
        .transpose()?;
    let own = required(request.certificate.as_deref(), "certificate")?;
    let private_key = required(request.private_key.as_deref(), "privateKey")?;
    let chain = request.certificate_chain.unwrap_or_default();
    for (field, bytes, most) in [
        ("certificate", own, MOST_CHAIN_BYTES),
        ("privateKey", private_key, MOST_KEY_BYTES),
        ("certificateChain", &chain, MOST_CHAIN_BYTES),
    ] {
        if bytes.len() > most {
            return Err(
                Rejection::validation(format!("{field} must have at most {most} bytes")).into(),
            );
        }
    }
    let now = clock::now();
    let said = certificate::read(own, private_key, &chain, &default_provider(), now)
        .map_err(|error| Rejection::validation(error.to_string()))?;
    let replaces = replaced.is_some();
    if let Some(id) = &replaced {
        // Before anything is sealed for it.
        api.read().await?.certificate(id)?;
    }
    let id = replaced.unwrap_or_else(id::certificate);
    let sealed = api
        .sealing
        .seal(&sealing::certificate(&id), private_key)
        .await?;
    let certificate = Certificate {
        id: id.clone(),
        chain: said.chain,
        sealed_key: sealed.bytes,
        sealed_with: sealed.with,
        domains: said.domains,
        subject: said.subject,
        issuer: said.issuer,
        not_before: said.not_before,
        not_after: said.not_after,
        imported_at: now,
    };
    let command = Command::ImportCertificate {
        certificate,
        replaces,
    };
    let state = api.write(command).await?;
    Ok(ImportCertificateResponse {
        certificate_arn: Some(state.arns().certificate(&id)),
    })
}

fn required<'a>(bytes: Option<&'a [u8]>, field: &str) -> Result<&'a [u8], Rejection> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| Rejection::validation(format!("{field} is missing")))
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeCertificateRequest,
) -> Result<DescribeCertificateResponse, Refusal> {
    let id = name::certificate(request.certificate_arn.as_deref())?;
    let state = api.read().await?;
    let detail = convert::detail(&state, state.certificate(&id)?, clock::now());
    Ok(DescribeCertificateResponse {
        certificate: Some(detail),
    })
}

pub(super) async fn list(
    api: &Api,
    request: ListCertificatesRequest,
) -> Result<ListCertificatesResponse, Refusal> {
    let state = api.read().await?;
    // ACM takes up to 1000 at once; a page of fewer is a page.
    let most = request.max_items.map(|most| most.min(100));
    let wanted = Wanted::hundred(request.next_token.as_deref(), most);
    let ids = state.certificates.keys().map(ToString::to_string);
    let (ids, next_token) = page(ids, &wanted)?;
    let now = clock::now();
    let listed = ids.into_iter().map(CertificateId::new);
    let listed = listed.filter_map(|id| state.certificates.get(&id));
    Ok(ListCertificatesResponse {
        certificate_summary_list: listed
            .map(|certificate| convert::summary(&state, certificate, now))
            .collect(),
        next_token,
    })
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteCertificateRequest,
) -> Result<DeleteCertificateResponse, Refusal> {
    let id = name::certificate(request.certificate_arn.as_deref())?;
    api.write(Command::DeleteCertificate { id }).await?;
    Ok(DeleteCertificateResponse {})
}
