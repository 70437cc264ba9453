//! How a client shook hands, as the access log has it.

use rustls::ServerConnection;

/// What was agreed upon.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// `TLSv1.3` or `TLSv1.2`.
    pub(crate) protocol: String,
    /// In IANA's words.
    pub(crate) cipher: String,
    /// The name that the client asked for.
    pub(crate) server_name: Option<String>,
}

impl Handshake {
    /// Returns what was agreed upon on a connection whose handshake is over.
    pub(crate) fn of(session: &ServerConnection) -> Self {
        let protocol = session
            .protocol_version()
            .and_then(|version| version.as_str());
        let cipher = session.negotiated_cipher_suite();
        let cipher = cipher.and_then(|cipher| cipher.suite().as_str());
        Self {
            protocol: protocol.unwrap_or_default().replace("v1_", "v1."),
            cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
            server_name: session.server_name().map(str::to_owned),
        }
    }
}
