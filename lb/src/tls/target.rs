//! TLS towards targets, for requests and for probes. As ALB's, it keeps what is said from others on the way, and does not ask who the
//! target is: that is what the control plane says.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::HTTP_2;
use crate::upstream::Protocol;

/// What is kept to resume sessions, of up to eight for each address of a host. Targets of one host get each other's tickets too, and decline
/// them at the price of a whole handshake.
const MOST_SESSIONS: usize = 8 * 256;

/// Without a word of what is to be spoken, which is HTTP/1.1 then.
static HTTP1: LazyLock<TlsConnector> = LazyLock::new(|| connector(&[]));
static HTTP2: LazyLock<TlsConnector> = LazyLock::new(|| connector(&[HTTP_2]));

fn connector(protocols: &[&[u8]]) -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what its own default versions need")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Whoever))
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(MOST_SESSIONS);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Shakes hands with a target that speaks that protocol; the caller sets the deadline.
///
/// # Errors
/// Fails when the target does not speak TLS, or not that protocol in it.
pub(crate) async fn shake_hands<S>(
    stream: S,
    address: SocketAddr,
    protocol: Protocol,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = match protocol {
        Protocol::Http1 => &HTTP1,
        Protocol::Http2 => &HTTP2,
    };
    let name = ServerName::from(address.ip());
    let stream = connector.connect(name, stream).await?;
    // RFC 9113 3.2: over TLS it is agreed upon.
    if protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
        return Err(io::Error::other("the target does not offer h2 by ALPN"));
    }
    Ok(stream)
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
