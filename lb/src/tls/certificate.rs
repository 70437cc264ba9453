//! Reads a certificate with its key.

use std::sync::Arc;

use roadstead_proto::lb;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::EndEntityCert;

/// Why a certificate cannot be used. Says nothing of what is in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("its chain is not PEM with at least one certificate")]
    Chain,
    #[error("the first certificate of its chain cannot be read")]
    Leaf,
    #[error("its private key is not PEM with an unencrypted key")]
    Key,
    #[error("its private key is of no kind that can be used: RSA, ECDSA or Ed25519")]
    KeyKind,
    #[error("its private key belongs to another certificate")]
    Mismatch,
}

/// A certificate that can be shown.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The names that it is good for, as it says; one may begin with `*.`.
    pub(super) names: Vec<String>,
}

impl Certificate {
    pub(super) fn read(
        certificate: &lb::Certificate,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
        let chain = chain
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::Chain)?;
        let leaf = chain.first().ok_or(CertificateError::Chain)?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|_| CertificateError::Leaf)?;
        let names = leaf.valid_dns_names().map(str::to_owned).collect();
        let key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes())
            .map_err(|_| CertificateError::Key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|_| CertificateError::KeyKind)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // A kind of key that cannot say which certificate it belongs to.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => return Err(CertificateError::Mismatch),
            Err(_) => return Err(CertificateError::Leaf),
        }
        Ok(Self {
            key: Arc::new(key),
            names,
        })
    }
}
