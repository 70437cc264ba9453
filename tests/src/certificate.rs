//! Certificates that users bring, made here with an authority of their own.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that nobody knows but who is told.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate with its private key; PEM.
#[derive(Debug, Clone, Default)]
pub struct Certificate {
    pub certificate: String,
    pub private_key: String,
}

impl Authority {
    /// Makes an authority of this name.
    ///
    /// # Errors
    /// Fails when the system gives no random numbers.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// Writes its certificate, for who shall trust it.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, &self.certificate)?)
    }

    /// Makes a certificate for these names.
    ///
    /// # Errors
    /// Fails when a name is none.
    pub fn issue(&self, names: &[&str]) -> anyhow::Result<Certificate> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(names)?;
        Ok(Certificate {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            private_key: key.serialize_pem(),
        })
    }
}

impl Certificate {
    /// Writes both into a folder; returns their paths.
    ///
    /// # Errors
    /// Fails when a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let certificate = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        fs::write(&certificate, &self.certificate)?;
        fs::write(&key, &self.private_key)?;
        Ok((certificate, key))
    }
}
