//! Who a container's process is: a name or a number, looked up in the image's own files.
//!
//! The files are opened with the image's root as the root, so that no symbolic link leads out of it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A user with its groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
}

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserError {
    #[error("unable to find user {0}: no matching entry in the image's passwd file")]
    User(String),
    #[error("unable to find group {0}: no matching entry in the image's group file")]
    Group(String),
    #[error("cannot read {file} of the image")]
    Read {
        file: &'static str,
        #[source]
        cause: io::Error,
    },
}

/// The files that are looked into; more than this is not a user database.
const LARGEST_FILE: u64 = 1 << 20;

/// Returns the user written `name`, `uid`, `name:group` or `uid:gid`; the layers are searched from the
/// first to the last.
///
/// # Errors
/// Fails when a name is not in the image's files, or these cannot be read.
pub(super) fn resolve(user: &str, layers: &[PathBuf]) -> Result<User, UserError> {
    let passwd = read(layers, "etc/passwd")?;
    let group = read(layers, "etc/group")?;
    look_up(user, &passwd, &group)
}

fn look_up(user: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let entry = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields[..] else {
            return None;
        };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let matches = name == user || user.parse() == Ok(uid);
        matches.then(|| (name.to_owned(), uid, gid))
    });
    let (name, uid, gid) = match (entry, user.parse()) {
        (Some((name, uid, gid)), _) => (name, uid, gid),
        // A number needs no entry; its group is root's, as Docker has it.
        (None, Ok(uid)) => (user.to_owned(), uid, 0),
        (None, Err(_)) => return Err(UserError::User(user.to_owned())),
    };
    let groups = || {
        group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else {
                return None;
            };
            Some((name, gid.parse::<u32>().ok()?, members))
        })
    };
    if let Some(wanted) = wanted_group {
        let found = groups().find(|(name, ..)| *name == wanted);
        let gid = found.map(|(_, gid, _)| gid).or(wanted.parse().ok());
        let gid = gid.ok_or_else(|| UserError::Group(wanted.to_owned()))?;
        return Ok(User {
            uid,
            gid,
            additional_gids: Vec::new(),
        });
    }
    let member = |members: &str| members.split(',').any(|member| member == name);
    let additional = groups().filter(|(_, gid_, members)| member(members) && *gid_ != gid);
    Ok(User {
        uid,
        gid,
        additional_gids: additional.map(|(_, gid, _)| gid).collect(),
    })
}

/// Reads a file from the first layer that has it; nowhere is an empty file.
fn read(layers: &[PathBuf], file: &'static str) -> Result<String, UserError> {
    for layer in layers {
        match open(layer, file) {
            Ok(file) => {
                let mut text = Vec::new();
                let read = file.take(LARGEST_FILE).read_to_end(&mut text);
                if read.is_ok() {
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(errno) => {
                let cause = errno.into();
                return Err(UserError::Read { file, cause });
            }
        }
    }
    Ok(String::new())
}

fn open(root: &Path, file: &str) -> Result<File, Errno> {
    let root = File::open(root)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    openat2(root.as_fd(), file, how).map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/:/bin/false\nbad line\n";
    const GROUP: &str = "root:x:0:\nwww:x:44:\nlogs:x:55:web,other\n";

    fn ids(user: &str) -> (u32, u32, Vec<u32>) {
        let user = look_up(user, PASSWD, GROUP).unwrap();
        (user.uid, user.gid, user.additional_gids)
    }

    #[test]
    fn a_name_has_the_groups_of_the_image() {
        assert_eq!(ids("web"), (33, 44, vec![55]));
        assert_eq!(ids("33"), (33, 44, vec![55]));
    }

    #[test]
    fn a_group_that_is_given_stands_alone() {
        assert_eq!(ids("web:logs"), (33, 55, vec![]));
        assert_eq!(ids("1000:1001"), (1000, 1001, vec![]));
    }

    #[test]
    fn a_number_without_an_entry_is_taken_as_it_is() {
        assert_eq!(ids("1000"), (1000, 0, vec![]));
    }

    #[test]
    fn a_name_without_an_entry_is_an_error() {
        let error = look_up("nobody", PASSWD, GROUP).unwrap_err();
        assert!(error.to_string().starts_with("unable to find user nobody"));
        assert!(look_up("web:nobody", PASSWD, GROUP).is_err());
    }

    #[test]
    fn a_link_out_of_the_image_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        let link = directory.path().join("etc/passwd");
        std::os::unix::fs::symlink("/etc/hostname", link).unwrap();
        let layers = [directory.path().to_owned()];
        assert_eq!(read(&layers, "etc/passwd").unwrap(), "");
    }
}
