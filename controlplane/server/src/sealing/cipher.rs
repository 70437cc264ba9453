//! AES-256-GCM (NIST SP 800-38D), each secret with a nonce of its own and bound to the name of what it belongs to.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

const KEY_BYTES: usize = 32;

/// A secret cannot be sealed or opened. Which of the possible reasons it is, nobody must learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CipherError {
    #[error("the system gives no random numbers")]
    Random,
    #[error("a sealing key has {KEY_BYTES} bytes")]
    Length,
    #[error("the secret cannot be sealed")]
    Seal,
    #[error("the secret was sealed with another key, for something else, or is damaged")]
    Open,
}

/// A key that seals secrets.
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES],
    fingerprint: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Key")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Key {
    pub(super) fn generate() -> Result<Self, CipherError> {
        let mut bytes = [0; KEY_BYTES];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| CipherError::Random)?;
        Self::from_bytes(&bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, CipherError> {
        let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| CipherError::Length)?;
        let digest = Sha256::digest(bytes);
        let fingerprint = digest[..16].iter().map(|byte| format!("{byte:02x}"));
        Ok(Self {
            bytes,
            fingerprint: fingerprint.collect(),
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what names the key without telling it: 32 hex digits.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns the nonce and what is sealed, one behind the other.
    pub(super) fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, CipherError> {
        let mut nonce = [0; NONCE_LEN];
        let filled = SystemRandom::new().fill(&mut nonce);
        filled.map_err(|_| CipherError::Random)?;
        let mut sealed = secret.to_vec();
        let (aad, own) = (Aad::from(name), Nonce::assume_unique_for_key(nonce));
        let done = self.ring()?.seal_in_place_append_tag(own, aad, &mut sealed);
        done.map_err(|_| CipherError::Seal)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(CipherError::Open)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CipherError::Open)?;
        let mut bytes = sealed.to_vec();
        let opened = self
            .ring()?
            .open_in_place(nonce, Aad::from(name), &mut bytes);
        let opened = opened.map_err(|_| CipherError::Open)?;
        Ok(opened.to_vec())
    }

    fn ring(&self) -> Result<LessSafeKey, CipherError> {
        let key = UnboundKey::new(&AES_256_GCM, &self.bytes);
        Ok(LessSafeKey::new(key.map_err(|_| CipherError::Length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_opened_with_its_key_under_its_name_and_not_otherwise() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let sealed = key.seal("certificate/1", b"hunter2").unwrap();
        assert_eq!(key.open("certificate/1", &sealed).unwrap(), b"hunter2");
        assert_eq!(key.open("certificate/2", &sealed), Err(CipherError::Open));
        assert_eq!(other.open("certificate/1", &sealed), Err(CipherError::Open));
        for at in [0, NONCE_LEN, sealed.len() - 1] {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(key.open("certificate/1", &damaged), Err(CipherError::Open));
        }
        assert_eq!(key.open("certificate/1", b"short"), Err(CipherError::Open));
    }

    #[test]
    fn one_secret_is_never_sealed_alike_twice_and_the_key_is_not_shown() {
        let key = Key::generate().unwrap();
        assert_ne!(key.seal("a", b"x").unwrap(), key.seal("a", b"x").unwrap());
        let shown = format!("{key:?}");
        assert!(
            shown.contains(key.fingerprint()) && !shown.contains("bytes"),
            "{shown}"
        );
        let again = Key::from_bytes(key.bytes()).unwrap();
        assert_eq!(again.fingerprint(), key.fingerprint());
        assert!(Key::from_bytes(b"short").is_err());
    }
}
