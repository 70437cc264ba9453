//! TLS towards targets, for requests and for probes. As ALB's, it keeps what is said from others on the way, and does not ask who the
//! target is: that is what the control plane says.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::HTTP_2;
use crate::upstream::Protocol;

/// How many tickets rustls keeps of one server, to resume sessions with.
const MOST_TICKETS: usize = 8;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// Shakes hands with one target, and resumes the sessions that it had there. Targets of one host share its address, by which sessions are
/// found, so each has its own.
pub(crate) struct Connector {
    protocol: Protocol,
    connector: TlsConnector,
}

impl Connector {
    /// Returns what a target that speaks that protocol needs.
    pub(crate) fn new(protocol: Protocol) -> Self {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_safe_default_protocol_versions()
            .expect("the provider has what its own default versions need")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Whoever))
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(MOST_TICKETS);
        // HTTP/1.1 needs no word.
        if protocol == Protocol::Http2 {
            config.alpn_protocols = vec![HTTP_2.to_vec()];
        }
        Self {
            protocol,
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    /// Shakes hands with the target at `address`; the caller sets the deadline.
    ///
    /// # Errors
    /// Fails when the target does not speak TLS, or not the protocol in it.
    pub(crate) async fn shake_hands<S>(
        &self,
        stream: S,
        address: SocketAddr,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::from(address.ip());
        let stream = self.connector.connect(name, stream).await?;
        // RFC 9113 3.2: over TLS it is agreed upon.
        let agreed = stream.get_ref().1.alpn_protocol();
        if self.protocol == Protocol::Http2 && agreed != Some(HTTP_2) {
            return Err(io::Error::other("the target does not offer h2 by ALPN"));
        }
        Ok(stream)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connector")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// Takes every certificate, also one that nobody could read. Who may have any proves nothing by the signature that he makes with its key.
#[derive(Debug)]
struct Whoever;

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Whatever key a target has, one of them is for it (RFC 8446 4.2.3).
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
}
