//! Who this load balancer is to the control plane.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roadstead_client::durable;

const NAME: &str = "node-id";

/// Why a load balancer does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot use data directory {}", .path.display())]
    DataDir {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} does not hold 32 hexadecimal digits", .path.display())]
    Malformed { path: PathBuf },
}

/// The node stays the same for ever; the incarnation tells the control plane that counts began anew.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) node_id: String,
    pub(crate) incarnation: String,
}

impl Identity {
    /// Returns an identity for this start alone.
    pub(crate) fn passing() -> Self {
        Self {
            node_id: random_hex(),
            incarnation: random_hex(),
        }
    }

    /// Returns the identity that `data_dir` holds; makes both at the first start.
    pub(crate) fn load(data_dir: &Path) -> Result<Self, IdentityError> {
        let failed = |cause| IdentityError::DataDir {
            path: data_dir.to_owned(),
            cause,
        };
        fs::create_dir_all(data_dir).map_err(failed)?;
        let path = data_dir.join(NAME);
        let mut identity = Self::passing();
        match fs::read_to_string(&path) {
            Ok(text) => {
                text.trim_end().clone_into(&mut identity.node_id);
                if !is_node_id(&identity.node_id) {
                    return Err(IdentityError::Malformed { path });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let line = format!("{}\n", identity.node_id);
                durable::replace(&path, line.as_bytes()).map_err(failed)?;
            }
            Err(cause) => return Err(failed(cause)),
        }
        Ok(identity)
    }
}

/// Returns the id of the load balancer that works in this directory; made at the first call.
///
/// # Errors
/// Fails when the directory cannot be used.
pub fn node_id(data_dir: &Path) -> Result<String, IdentityError> {
    Ok(Identity::load(data_dir)?.node_id)
}

fn is_node_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn random_hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_stays_the_same_and_each_start_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("lb");
        let first = Identity::load(&data_dir).unwrap();
        let second = Identity::load(&data_dir).unwrap();
        assert_eq!(first.node_id, second.node_id);
        assert_ne!(first.incarnation, second.incarnation);
    }

    #[test]
    fn a_node_id_that_is_none_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), "me\n").unwrap();
        let error = Identity::load(directory.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("node-id does not hold 32 hexadecimal digits")
        );
    }
}
