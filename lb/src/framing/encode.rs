//! Writes what both directions have in common.

use bytes::BufMut;
use http::HeaderMap;

use crate::hop;

/// Writes a line of a head, or of trailers.
pub(crate) fn line(bytes: &mut impl BufMut, name: &[u8], value: &[u8]) {
    bytes.put_slice(name);
    bytes.put_slice(b": ");
    bytes.put_slice(value);
    bytes.put_slice(b"\r\n");
}

/// Writes what comes before the data of a chunk; behind it comes a line's end.
pub(crate) fn begin_chunk(bytes: &mut impl BufMut, length: usize) {
    bytes.put_slice(format!("{length:x}\r\n").as_bytes());
}

/// Writes the end of a body in chunks, with those of the trailers that may be there (RFC 9112 7.1.2).
pub(crate) fn last_chunk(bytes: &mut impl BufMut, trailers: Option<&HeaderMap>) {
    bytes.put_slice(b"0\r\n");
    let trailers = trailers.into_iter().flatten();
    for (name, value) in trailers.filter(|(name, _)| hop::may_trail(name)) {
        line(bytes, name.as_str().as_bytes(), value.as_bytes());
    }
    bytes.put_slice(b"\r\n");
}
