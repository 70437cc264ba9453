//! Who a process is to the others: its certificate, its key, and the authority that signs for all of them.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::durable;

/// The name in every server's certificate. Servers are known by it and not by their addresses, which may change.
pub const SERVER_NAME: &str = "server.roadstead";

const AUTHORITY: &str = "authority.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Credentials cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", .path.display())]
pub struct CredentialsError {
    pub operation: &'static str,
    pub path: PathBuf,
    #[source]
    pub cause: io::Error,
}

/// A certificate with its key, and the certificate of the authority; all PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

impl Credentials {
    /// Returns the folder of a role's credentials below its data directory.
    #[must_use]
    pub fn directory(data_dir: &Path) -> PathBuf {
        data_dir.join("tls")
    }

    /// Reads what [`Credentials::save`] has kept; `None` when there is nothing.
    ///
    /// # Errors
    /// Fails when a file is missing beside the others, or cannot be read.
    pub fn load(directory: &Path) -> Result<Option<Self>, CredentialsError> {
        if !directory.join(CERTIFICATE).exists() {
            return Ok(None);
        }
        let read = |name| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|cause| failed("read", &path, cause))
        };
        Ok(Some(Self {
            authority: read(AUTHORITY)?,
            key: read(KEY)?,
            certificate: read(CERTIFICATE)?,
        }))
    }

    /// Keeps the credentials for this user alone. At the first time the certificate comes last: with it, all are there.
    ///
    /// # Errors
    /// Fails when the folder cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), CredentialsError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(|cause| failed("create", directory, cause))?;
        for (name, text) in [
            (AUTHORITY, &self.authority),
            (KEY, &self.key),
            (CERTIFICATE, &self.certificate),
        ] {
            let path = directory.join(name);
            durable::replace(&path, text.as_bytes())
                .map_err(|cause| failed("write", &path, cause))?;
        }
        Ok(())
    }

    /// Returns what it takes to reach a server, and to be known there.
    #[must_use]
    pub fn client_config(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .domain_name(SERVER_NAME)
            .ca_certificate(Certificate::from_pem(&self.authority))
            .identity(self.identity())
    }

    /// Returns the certificate with its key.
    #[must_use]
    pub fn identity(&self) -> Identity {
        // The authority's own certificate goes along: who joins knows it by its digest alone.
        let chain = format!("{}{}", self.certificate, self.authority);
        Identity::from_pem(chain, &self.key)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .finish_non_exhaustive()
    }
}

fn failed(operation: &'static str, path: &Path, cause: io::Error) -> CredentialsError {
    let path = path.to_owned();
    CredentialsError {
        operation,
        path,
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_nobody_else_can_read_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Credentials::directory(folder.path());
        assert_eq!(Credentials::load(&directory).unwrap(), None);
        let credentials = Credentials {
            authority: "a".into(),
            certificate: "c".into(),
            key: "k".into(),
        };
        for _ in 0..2 {
            credentials.save(&directory).unwrap();
        }
        assert_eq!(Credentials::load(&directory).unwrap(), Some(credentials));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join(KEY)), 0o600);
        fs::remove_file(directory.join(KEY)).unwrap();
        let error = Credentials::load(&directory).unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
    }

    #[test]
    fn a_key_is_not_shown() {
        let credentials = Credentials {
            authority: "a".into(),
            certificate: "c".into(),
            key: "secret".into(),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials { .. }");
    }
}
