//! TLS for clients that begin with it, with a certificate that the service makes for itself at its start.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The type of a record that begins a handshake (RFC 8446 5.1), which is no first byte of any request.
const HANDSHAKE: u8 = 22;

#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

/// A connection of which it is known what it speaks.
pub(crate) enum Begun {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Tls {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["sample.example".to_owned()])
            .context("cannot make a certificate")?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.into()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Waits for a client's first byte, and shakes hands if that begins TLS.
    pub(crate) async fn begin(&self, stream: TcpStream) -> io::Result<Begun> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first != [HANDSHAKE] {
            return Ok(Begun::Plain(stream));
        }
        let stream = self.0.accept(stream).await?;
        Ok(Begun::Tls(Box::new(stream)))
    }
}
