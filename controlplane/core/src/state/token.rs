//! The token of HTTP, which names of headers and cookies are.

/// Returns whether a text is a token (RFC 9110 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}
