//! The token, as it is passed from hand to hand.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

const PREFIX: &str = "rsj1";

/// The right to join, and by which digest the authority of the control plane that gave it is known.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    pub secret: String,
    /// SHA-256 of the authority's certificate (DER).
    pub authority_digest: [u8; 32],
}

/// A text is not a token.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("this is not a join token; `ctl token create` on a server makes one")]
pub struct TokenError;

impl fmt::Display for Token {
    /// Writes the token itself, with its secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = BASE64.encode(self.authority_digest);
        write!(formatter, "{PREFIX}.{}.{}.{digest}", self.id, self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (Some(PREFIX), Some(id), Some(secret), Some(digest)) = (next(), next(), next(), next())
        else {
            return Err(TokenError);
        };
        let digest = BASE64.decode(digest).map_err(|_| TokenError)?;
        if parts.next().is_some() {
            return Err(TokenError);
        }
        Ok(Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            authority_digest: digest.try_into().map_err(|_| TokenError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_is_written_and_its_secret_is_not_shown() {
        let token = Token {
            id: "0123".into(),
            secret: "hidden".into(),
            authority_digest: [200; 32],
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("hidden"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "rsj1",
            "rsj1.a.b",
            "rsj1.a.b.c",
            "rsj2.a.b.c",
            "rsj1....",
        ] {
            assert_eq!(text.parse::<Token>(), Err(TokenError), "{text}");
        }
    }
}
