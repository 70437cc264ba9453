//! The keys on this server's disk, one file each under its fingerprint: which one counts, the state says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use roadstead_client::durable;
use tracing::warn;

use super::cipher::{CipherError, Key};

const FOLDER: &str = "sealing";
/// Keys that lost the race to be the one are few.
const MOST_KEYS: usize = 16;

/// The keys that this server has.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// The one that was used last.
    last: Mutex<Option<Arc<Key>>>,
}

impl Store {
    /// Returns what is kept in a server's data directory.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
            last: Mutex::default(),
        }
    }

    /// Returns the key with this fingerprint, if it is here.
    pub(super) fn load(&self, fingerprint: &str) -> io::Result<Option<Arc<Key>>> {
        let last = self.last().clone();
        if let Some(key) = last.filter(|key| key.fingerprint() == fingerprint) {
            return Ok(Some(key));
        }
        let Some(path) = self.path(fingerprint) else {
            return Ok(None);
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match Key::from_bytes(&bytes) {
            Ok(key) if key.fingerprint() == fingerprint => Ok(Some(self.remember(key))),
            // Another server may still have it whole.
            Ok(_) | Err(_) => {
                warn!(path = %path.display(), "a sealing key is damaged");
                Ok(None)
            }
        }
    }

    /// Keeps a key; it is on the disk when this returns.
    pub(super) fn save(&self, key: Key) -> io::Result<Arc<Key>> {
        let path = self.path(key.fingerprint());
        let path = path.ok_or(io::ErrorKind::InvalidInput)?;
        durable::replace(&path, key.bytes())?;
        Ok(self.remember(key))
    }

    /// Removes a key with which nothing was sealed.
    pub(super) fn forget(&self, key: &Key) -> io::Result<()> {
        *self.last() = None;
        match self.path(key.fingerprint()) {
            Some(path) => fs::remove_file(path),
            None => Ok(()),
        }
    }

    /// Keeps a key that another server gives.
    pub(crate) fn take(&self, bytes: &[u8]) -> io::Result<()> {
        let key = Key::from_bytes(bytes);
        let key = key.map_err(|error: CipherError| io::Error::other(error))?;
        let known = self
            .path(key.fingerprint())
            .is_some_and(|path| path.exists());
        if !known && self.count()? >= MOST_KEYS {
            return Err(io::Error::other(format!(
                "there are {MOST_KEYS} sealing keys already"
            )));
        }
        self.save(key).map(drop)
    }

    /// Returns a key for another server that lacks it.
    pub(crate) fn give(&self, fingerprint: &str) -> io::Result<Option<Vec<u8>>> {
        let key = self.load(fingerprint)?;
        Ok(key.map(|key| key.bytes().to_vec()))
    }

    fn count(&self) -> io::Result<usize> {
        match fs::read_dir(&self.folder) {
            Ok(entries) => Ok(entries.count()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// A fingerprint comes from others: only hex digits become a path.
    fn path(&self, fingerprint: &str) -> Option<PathBuf> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = fingerprint.len() == 32 && fingerprint.bytes().all(is_hex);
        fits.then(|| self.folder.join(format!("{fingerprint}.key")))
    }

    fn remember(&self, key: Key) -> Arc<Key> {
        let key = Arc::new(key);
        *self.last() = Some(Arc::clone(&key));
        key
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Arc<Key>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlasts_the_process_and_a_damaged_one_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let key = Store::new(folder.path())
            .save(Key::generate().unwrap())
            .unwrap();
        let fingerprint = key.fingerprint();
        let again = Store::new(folder.path());
        assert_eq!(
            again.give(fingerprint).unwrap().as_deref(),
            Some(key.bytes())
        );
        let path = again.path(fingerprint).unwrap();
        fs::write(&path, b"damaged").unwrap();
        assert_eq!(Store::new(folder.path()).give(fingerprint).unwrap(), None);
    }

    #[test]
    fn what_is_no_fingerprint_is_no_path_and_keys_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        for fingerprint in ["../../etc/passwd", "", "ABCDEF0123456789ABCDEF0123456789"] {
            assert_eq!(store.give(fingerprint).unwrap(), None);
        }
        assert!(store.take(b"short").is_err());
        for number in 0..MOST_KEYS {
            store.take(&[u8::try_from(number).unwrap(); 32]).unwrap();
        }
        assert!(store.take(&[99; 32]).is_err());
        store.take(&[0; 32]).unwrap();
    }
}
