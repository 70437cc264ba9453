//! Reads the certificates that users bring, before they are taken in. Pure: time comes in.

use std::sync::Arc;

use pem::{EncodeConfig, LineEnding, Pem};
use roadstead_core::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// A chain of more is a mistake.
const MOST_CERTIFICATES: usize = 10;

/// Why a certificate is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the {0} is not PEM with a BEGIN CERTIFICATE block")]
    Pem(&'static str),
    #[error("the certificate must be one; the others of its chain go into the certificate chain")]
    Several,
    #[error("the certificate chain has more than {MOST_CERTIFICATES} certificates")]
    Long,
    #[error("the private key is not PEM with an unencrypted PKCS #8, PKCS #1 or SEC1 key")]
    Key,
    #[error("the private key is of a kind that TLS here does not use; RSA, ECDSA and Ed25519 are")]
    KeyKind,
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    #[error("certificate {0} of the chain cannot be read")]
    Malformed(usize),
    #[error("certificate {0} of the chain was not issued by the next one, {1}")]
    Order(usize, String),
    #[error("the certificate names no domain in its subject alternative names")]
    NoDomain,
    #[error("the certificate is not valid before {0}")]
    Early(String),
    #[error("the certificate has expired on {0}")]
    Expired(String),
}

/// What a certificate says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// PEM, the leaf first.
    pub(crate) chain: String,
    pub(crate) domains: Vec<String>,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Reads a certificate with its private key, and the chain between it and its authority; all PEM.
pub(crate) fn read(
    certificate: &[u8],
    private_key: &[u8],
    chain: &[u8],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Said, CertificateError> {
    let own = certificates(certificate, "certificate")?;
    let [leaf] = own.as_slice() else {
        return Err(CertificateError::Several);
    };
    let mut all = vec![leaf.clone()];
    if !chain.is_empty() {
        all.extend(certificates(chain, "certificate chain")?);
    }
    if all.len() > MOST_CERTIFICATES {
        return Err(CertificateError::Long);
    }
    check_key(&all, private_key, provider)?;
    check_order(&all)?;
    let leaf = parse(&all, 0)?;
    let domains = domains(&leaf);
    if domains.is_empty() {
        return Err(CertificateError::NoDomain);
    }
    let (not_before, not_after) = (leaf.validity.not_before, leaf.validity.not_after);
    let moment = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
    let said = Said {
        chain: pem(&all),
        domains,
        subject: leaf.subject.to_string(),
        issuer: leaf.issuer.to_string(),
        not_before: moment(not_before.timestamp()),
        not_after: moment(not_after.timestamp()),
    };
    if now < said.not_before {
        return Err(CertificateError::Early(not_before.to_string()));
    }
    if now >= said.not_after {
        return Err(CertificateError::Expired(not_after.to_string()));
    }
    Ok(said)
}

fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|_| CertificateError::Pem(what))?;
    if read.is_empty() {
        return Err(CertificateError::Pem(what));
    }
    Ok(read)
}

fn check_key(
    chain: &[CertificateDer<'static>],
    private_key: &[u8],
    provider: &CryptoProvider,
) -> Result<(), CertificateError> {
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|_| CertificateError::Key)?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| CertificateError::KeyKind)?;
    let pair = CertifiedKey::new(chain.to_vec(), key);
    pair.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch,
        _ => CertificateError::Malformed(1),
    })
}

fn parse<'a>(
    chain: &'a [CertificateDer<'static>],
    at: usize,
) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(&chain[at]) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(CertificateError::Malformed(at + 1)),
    }
}

/// Each was issued by the next (RFC 8446 4.4.2 lets clients be lax; not all are).
fn check_order(chain: &[CertificateDer<'static>]) -> Result<(), CertificateError> {
    for at in 1..chain.len() {
        let (below, above) = (parse(chain, at - 1)?, parse(chain, at)?);
        if below.issuer != above.subject {
            return Err(CertificateError::Order(at, above.subject.to_string()));
        }
    }
    Ok(())
}

/// RFC 9525 6.1: clients look at the alternative names alone.
fn domains(leaf: &X509Certificate<'_>) -> Vec<String> {
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names
        .into_iter()
        .flat_map(|names| &names.value.general_names);
    let dns = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}

/// Writes certificates anew: what else stood beside them, such as a private key, is nobody's business.
fn pem(certificates: &[CertificateDer<'static>]) -> String {
    let block = |der: &CertificateDer<'static>| Pem::new("CERTIFICATE", der.to_vec());
    let blocks: Vec<Pem> = certificates.iter().map(block).collect();
    let settings = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_many_config(&blocks, settings)
}

/// Reads the authorities of clients, as a load balancer will use them; returns them as PEM.
pub(crate) fn read_authority(
    text: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<String, CertificateError> {
    let read = certificates(text.as_bytes(), "client authority")?;
    let mut roots = RootCertStore::empty();
    for (at, der) in read.iter().enumerate() {
        let added = roots.add(der.clone());
        added.map_err(|_| CertificateError::Malformed(at + 1))?;
    }
    WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .build()
        .map_err(|_| CertificateError::Pem("client authority"))?;
    Ok(pem(&read))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Pair {
        certificate: String,
        key: String,
    }

    fn authority() -> (Pair, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "test ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pair = Pair {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        };
        (pair, Issuer::new(params, key))
    }

    fn leaf(issuer: &Issuer<'_, KeyPair>, names: &[&str], hours: (i64, i64)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let at = |hours: i64| {
            let epoch = SystemTime::UNIX_EPOCH;
            epoch + Duration::from_secs(3600 * u64::try_from(hours).unwrap())
        };
        params.not_before = at(hours.0).into();
        params.not_after = at(hours.1).into();
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Reads a certificate in the hundredth hour of the epoch.
    fn said(certificate: &str, key: &str, chain: &str) -> Result<Said, CertificateError> {
        let now = Timestamp(100 * 3600 * 1000);
        let provider = rustls::crypto::ring::default_provider();
        let (certificate, key, chain) = (certificate.as_bytes(), key.as_bytes(), chain.as_bytes());
        read(certificate, key, chain, &provider, now)
    }

    #[test]
    fn a_sound_certificate_says_its_domains_and_dates() {
        let (ca, issuer) = authority();
        let own = leaf(&issuer, &["Shop.example", "*.shop.example"], (99, 200));
        let read = said(&own.certificate, &own.key, &ca.certificate).unwrap();
        assert_eq!(read.domains, ["shop.example", "*.shop.example"]);
        assert_eq!(read.not_after, Timestamp(200 * 3600 * 1000));
        assert_eq!(read.issuer, "CN=test ca");
        assert_eq!(read.chain.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(read.chain.starts_with(own.certificate.trim()));
    }

    #[test]
    fn a_private_key_beside_a_certificate_goes_nowhere() {
        let (ca, issuer) = authority();
        let own = leaf(&issuer, &["a.example"], (99, 200));
        let combined = format!("{}{}", own.key, own.certificate);
        let chain = format!("{}{}", ca.certificate, own.key);
        let read = said(&combined, &own.key, &chain).unwrap();
        assert!(!read.chain.contains("PRIVATE KEY"), "{}", read.chain);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority = read_authority(&format!("{}{}", ca.certificate, ca.key), &provider);
        assert!(!authority.unwrap().contains("PRIVATE KEY"));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let refused = read_authority(nonsense, &provider).unwrap_err();
        assert_eq!(refused, CertificateError::Malformed(1));
    }

    #[test]
    fn what_would_fail_at_the_first_handshake_is_refused_before() {
        use CertificateError::{Early, Expired, Key, Mismatch, NoDomain, Order, Pem, Several};
        let (ca, issuer) = authority();
        let own = leaf(&issuer, &["a.example"], (99, 200));
        let other = leaf(&issuer, &["b.example"], (99, 200));
        let both = format!("{}{}", own.certificate, other.certificate);
        let nameless = leaf(&issuer, &[], (99, 200));
        let refused =
            |certificate: &str, key: &str, chain: &str| said(certificate, key, chain).unwrap_err();
        assert_eq!(refused("no", &own.key, ""), Pem("certificate"));
        assert_eq!(
            refused(&own.certificate, &own.key, "no"),
            Pem("certificate chain")
        );
        assert_eq!(refused(&both, &own.key, ""), Several);
        assert_eq!(refused(&own.certificate, "no", ""), Key);
        assert_eq!(refused(&own.certificate, &other.key, ""), Mismatch);
        let chain = refused(&own.certificate, &own.key, &other.certificate);
        assert!(matches!(chain, Order(1, _)), "{chain}");
        assert_eq!(
            refused(&nameless.certificate, &nameless.key, &ca.certificate),
            NoDomain
        );
        let expired = leaf(&issuer, &["a.example"], (1, 100));
        assert!(matches!(
            refused(&expired.certificate, &expired.key, ""),
            Expired(_)
        ));
        let early = leaf(&issuer, &["a.example"], (101, 200));
        assert!(matches!(
            refused(&early.certificate, &early.key, ""),
            Early(_)
        ));
    }
}
