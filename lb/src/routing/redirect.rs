//! Where a client is sent instead.

use http::{HeaderValue, StatusCode};

use super::Asked;

/// The parts of an address: the protocol, if it is not that of the request, and the others with `#{protocol}`, `#{host}`, `#{port}`,
/// `#{path}` and `#{query}` for those of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: StatusCode,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Redirect {
    /// Returns the address for a request that came by `protocol` to `port`; `None` when what came with it cannot be put
    /// into a header.
    pub(crate) fn location(
        &self,
        asked: &Asked<'_>,
        protocol: &str,
        port: u16,
    ) -> Option<HeaderValue> {
        let own_port = port.to_string();
        let expand = |part: &str| {
            part.replace("#{protocol}", protocol)
                .replace("#{port}", &own_port)
                .replace("#{host}", asked.host)
                .replace("#{path}", asked.path.trim_start_matches('/'))
                .replace("#{query}", asked.query.unwrap_or_default())
        };
        let scheme = self.protocol.unwrap_or(protocol);
        let port = expand(&self.port);
        // As browsers write it, so that the client does not ask twice for one place.
        let colon_port = match (scheme, port.as_str()) {
            ("http", "80") | ("https", "443") => String::new(),
            (_, port) => format!(":{port}"),
        };
        let query = expand(&self.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let (host, path) = (expand(&self.host), expand(&self.path));
        let location = format!("{scheme}://{host}{colon_port}{path}{mark}{query}");
        HeaderValue::try_from(location).ok()
    }
}
