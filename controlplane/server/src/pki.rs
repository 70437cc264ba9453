//! The certificate authority inside the control plane.
//!
//! A certificate says two things of its holder, as DNS names: the role (`agent.roadstead`), and which one it is
//! (`ID.agent.roadstead`). Whoever asks checks the one, the other, or both.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKey,
    PublicKeyData,
};
use roadstead_client::{Credentials, SERVER_NAME};
use roadstead_core::state::join::{Authority, Role};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, ServerName};
use sha2::{Digest as _, Sha256};

/// Clocks of hosts differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Until certificates are renewed while they are in use, one has to outlast its host's next visit.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("the certificate cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("the authority's certificate cannot be read")]
    Authority(#[from] rustls::pki_types::pem::Error),
}

/// Makes the authority of a control plane.
pub(crate) fn create_authority(control_plane_id: &str) -> Result<Authority, PkiError> {
    let key = KeyPair::generate()?;
    let mut params = valid_for(AUTHORITY_LIFETIME);
    params.distinguished_name = named(&format!("Roadstead {control_plane_id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(Authority {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

/// Returns the key for which a request asks (PKCS #10, DER); what else it says does not count.
pub(crate) fn key_of(request: &[u8]) -> Result<PublicKey, PkiError> {
    let request = CertificateSigningRequestDer::from(request);
    Ok(CertificateSigningRequestParams::from_der(&request)?.public_key)
}

/// Signs for a key. Returns PEM.
pub(crate) fn sign(
    authority: &Authority,
    key: &impl PublicKeyData,
    role: Role,
    id: &str,
) -> Result<String, PkiError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    Ok(params(role, id)?.signed_by(key, &issuer)?.pem())
}

/// Makes the credentials of the first server, which has nobody to ask.
pub(crate) fn issue(authority: &Authority, role: Role, id: &str) -> Result<Credentials, PkiError> {
    let key = KeyPair::generate()?;
    Ok(Credentials {
        authority: authority.certificate.clone(),
        certificate: sign(authority, &key, role, id)?,
        key: key.serialize_pem(),
    })
}

/// Returns by which digest those who join know the authority.
pub(crate) fn digest(authority: &Authority) -> Result<[u8; 32], PkiError> {
    let der = CertificateDer::from_pem_slice(authority.certificate.as_bytes())?;
    Ok(Sha256::digest(&der).into())
}

/// Returns whether a certificate that the authority has signed is one of this role, and of `id` if that is said.
pub(crate) fn is_for(certificate: &CertificateDer<'_>, role: Role, id: Option<&str>) -> bool {
    let name = match id {
        None => role_name(role),
        Some(id) => member_name(role, id),
    };
    let (Ok(certificate), Ok(name)) = (
        webpki::EndEntityCert::try_from(certificate),
        ServerName::try_from(name),
    ) else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

/// Returns whether an id can stand in a certificate: one label of a DNS name (RFC 1123 2.1).
pub(crate) fn is_label(id: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&id.len())
        && id.bytes().all(|byte| letters(byte) || byte == b'-')
        && !id.starts_with('-')
        && !id.ends_with('-')
}

fn params(role: Role, id: &str) -> Result<CertificateParams, PkiError> {
    let mut params = valid_for(CERTIFICATE_LIFETIME);
    let names = CertificateParams::new(vec![role_name(role), member_name(role, id)])?;
    params.subject_alt_names = names.subject_alt_names;
    params.distinguished_name = named(id);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if role == Role::Server {
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn role_name(role: Role) -> String {
    match role {
        // What clients expect.
        Role::Server => SERVER_NAME.to_owned(),
        Role::Agent | Role::LoadBalancer | Role::Operator => format!("{}.roadstead", role.name()),
    }
}

fn member_name(role: Role, id: &str) -> String {
    format!("{id}.{}.roadstead", role.name())
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn valid_for(lifetime: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + lifetime).into();
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    #[test]
    fn a_certificate_is_for_one_role_and_one_holder() {
        let authority = create_authority("c1").unwrap();
        let issued = issue(&authority, Role::Agent, "a1").unwrap();
        let certificate = certificate(&issued.certificate);
        assert!(is_for(&certificate, Role::Agent, None));
        assert!(is_for(&certificate, Role::Agent, Some("a1")));
        assert!(!is_for(&certificate, Role::Agent, Some("a2")));
        for other in [Role::Server, Role::LoadBalancer, Role::Operator] {
            assert!(!is_for(&certificate, other, None));
            assert!(!is_for(&certificate, other, Some("a1")));
        }
    }

    #[test]
    fn a_request_cannot_choose_what_it_is_for() {
        let authority = create_authority("c1").unwrap();
        let key = KeyPair::generate().unwrap();
        let wish = CertificateParams::new(vec!["server.roadstead".to_owned()]).unwrap();
        let request = wish.serialize_request(&key).unwrap();
        let key = key_of(request.der()).unwrap();
        let signed = sign(&authority, &key, Role::LoadBalancer, "l1").unwrap();
        let certificate = certificate(&signed);
        assert!(is_for(&certificate, Role::LoadBalancer, Some("l1")));
        assert!(!is_for(&certificate, Role::Server, None));
        assert!(key_of(b"nonsense").is_err());
    }

    #[test]
    fn only_labels_stand_in_certificates() {
        assert!(is_label("0af1") && is_label("ci-runner-1"));
        for id in ["", "-a", "a-", "a.b", "A", "a b", "*", &"x".repeat(64)] {
            assert!(!is_label(id), "{id}");
        }
    }
}
