//! TLS towards clients: what an HTTPS listener needs for its handshakes; `target` has that towards targets.
//!
//! The keyring makes it from the certificates of a table and outlives the table: a certificate that stays is not parsed
//! again, and clients resume their sessions whatever else has changed.

mod certificate;
mod client_certificate;
mod handshake;
mod names;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use roadstead_proto::lb;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::socket::Socket;
use crate::table::TableError;
use certificate::Certificate;
pub use certificate::CertificateError;
pub(crate) use client_certificate::ClientCertificate;
pub(crate) use handshake::Handshake;
use names::Names;
pub(crate) use target::Connector;

/// What a client and a listener may agree to speak (ALPN), the better first.
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why a listener cannot have the handshakes that a table wants of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("it speaks HTTPS and has no certificate")]
    NoCertificate,
    #[error("certificate {certificate} is not in this table")]
    UnknownCertificate { certificate: String },
    #[error("its client authority is not PEM with certificates of authorities")]
    ClientAuthority,
    /// Nobody must believe that clients are checked where they are not.
    #[error("it speaks HTTP, which has neither certificates nor a client authority")]
    Plain,
}

/// The handshake of one listener.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Shakes hands with a client; the caller sets the deadline.
    pub(crate) async fn accept(&self, stream: Socket) -> io::Result<TlsStream<Socket>> {
        TlsAcceptor::from(Arc::clone(&self.0)).accept(stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").finish_non_exhaustive()
    }
}

/// The certificates of the newest table, and what encrypts the tickets with which sessions are resumed.
#[derive(Debug)]
pub(crate) struct Keyring {
    provider: Arc<CryptoProvider>,
    /// As read, beside what it was read from.
    certificates: BTreeMap<String, (lb::Certificate, Certificate)>,
    /// By the text of the client authority.
    authorities: BTreeMap<String, Authority>,
}

/// Who may come in.
#[derive(Debug, Clone)]
struct Authority {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Its own: a resumed session is not checked again, so that a ticket of a listener that asks for no certificate, or for
    /// another authority's, must be worth nothing. Without randomness there are none: each session then begins with a
    /// whole handshake.
    tickets: Option<Arc<dyn ProducesTickets>>,
}

/// Returns the suites in our order: the cheapest first, for all of them are strong. A client that has no AES in its processor
/// is slower with it than with ChaCha20, and yet fast enough.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    let is_cheapest = |suite: &SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        name.contains("AES_128_GCM")
    };
    // Stable: of each version the rest stays in its order.
    provider
        .cipher_suites
        .sort_by_key(|suite| !is_cheapest(suite));
    provider
}

impl Keyring {
    /// Returns an empty keyring.
    pub(crate) fn new() -> Self {
        Self {
            provider: Arc::new(provider()),
            certificates: BTreeMap::new(),
            authorities: BTreeMap::new(),
        }
    }

    /// Reads the certificates of a table, and forgets the others.
    pub(crate) fn take(&mut self, table: &lb::Table) -> Result<(), TableError> {
        let mut before = std::mem::take(&mut self.certificates);
        for certificate in &table.certificates {
            let arn = certificate.certificate_arn.clone();
            let known = before.remove(&arn).filter(|(from, _)| from == certificate);
            let entry = match known {
                Some(known) => known,
                None => {
                    let read = Certificate::read(certificate, &self.provider);
                    let read = read.map_err(|cause| TableError::Certificate {
                        certificate: arn.clone(),
                        cause,
                    })?;
                    (certificate.clone(), read)
                }
            };
            if self.certificates.insert(arn.clone(), entry).is_some() {
                return Err(TableError::CertificateTwice { certificate: arn });
            }
        }
        Ok(())
    }

    /// Forgets the client authorities that a table has no use for. Once it is accepted, and not before: a refused one would
    /// cost the clients of those in force their tickets.
    pub(crate) fn forget_all_but(&mut self, table: &lb::Table) {
        let listeners = table.listeners.iter();
        let used: BTreeSet<&str> = listeners
            .map(|listener| listener.client_authority.as_str())
            .collect();
        self.authorities
            .retain(|text, _| used.contains(text.as_str()));
    }

    /// Returns the handshake of a listener of the table whose certificates were taken last; `None` for HTTP.
    pub(crate) fn tls(&mut self, listener: &lb::Listener) -> Result<Option<Tls>, TlsError> {
        if listener.protocol != "HTTPS" {
            let plain =
                listener.certificate_arns.is_empty() && listener.client_authority.is_empty();
            return if plain {
                Ok(None)
            } else {
                Err(TlsError::Plain)
            };
        }
        let certificates = listener.certificate_arns.iter().map(|arn| {
            let (_, read) = self.certificates.get(arn).ok_or_else(|| {
                let certificate = arn.clone();
                TlsError::UnknownCertificate { certificate }
            })?;
            Ok((read.names.as_slice(), Arc::clone(&read.key)))
        });
        let certificates = certificates.collect::<Result<Vec<_>, TlsError>>()?;
        let names = Names::new(certificates).ok_or(TlsError::NoCertificate)?;
        let authority = self.authority(&listener.client_authority)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has suites for both versions")
            .with_client_cert_verifier(authority.verifier)
            .with_cert_resolver(Arc::new(ByName(names)));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        // The client keeps the session, in a ticket: this process remembers none.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(tickets) = authority.tickets {
            config.ticketer = tickets;
        }
        Ok(Some(Tls(Arc::new(config))))
    }

    fn authority(&mut self, text: &str) -> Result<Authority, TlsError> {
        if let Some(known) = self.authorities.get(text) {
            return Ok(known.clone());
        }
        let authority = Authority {
            verifier: self.client_verifier(text)?,
            tickets: ring::Ticketer::new().ok(),
        };
        self.authorities.insert(text.to_owned(), authority.clone());
        Ok(authority)
    }

    fn client_verifier(&self, authority: &str) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        if authority.is_empty() {
            return Ok(WebPkiClientVerifier::no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let root = root.map_err(|_| TlsError::ClientAuthority)?;
            roots.add(root).map_err(|_| TlsError::ClientAuthority)?;
        }
        let provider = Arc::clone(&self.provider);
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| TlsError::ClientAuthority)
    }
}

/// Chooses the certificate for a handshake.
#[derive(Debug)]
struct ByName(Names<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A name may have an RSA and an ECDSA certificate: the first one that this client can check.
        let mut candidates = self.0.candidates(hello.server_name());
        let schemes = hello.signature_schemes();
        candidates
            .find(|candidate| candidate.key.choose_scheme(schemes).is_some())
            .cloned()
    }
}
