//! Replaces a file as a whole: after a crash, or a power cut, there is the old one or the new one.
//!
//! Only the owner may read it: what the roles keep has keys in it, and the environments of containers. It is here because
//! every role has something to keep, and this crate.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const OWNER_ONLY: u32 = 0o600;

/// Replaces a file, or makes it with the directories above it. It is on the disk when this returns.
///
/// # Errors
/// Fails when the file, or the draft beside it (`NAME.new`), cannot be written.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(contents))
}

/// Does the same with what `write` writes, piece by piece.
///
/// # Errors
/// Fails as [`replace`] does, and when `write` does.
pub fn replace_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(&draft)?;
    // A draft that a crash has left may be open to others.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The new name is on the disk only with its directory.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/record.json");
        fs::create_dir(directory.path().join("deep")).unwrap();
        for (name, text) in [("record.json", "old"), ("record.new", "torn")] {
            fs::write(directory.path().join("deep").join(name), text).unwrap();
        }
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        assert!(!directory.path().join("deep/record.new").exists());
    }
}
