//! Files that a table file names: certificates and their keys.

use std::io;
use std::path::{Path, PathBuf};

use roadstead_proto::lb;
use serde::Deserialize;

use super::TableFileError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    name: String,
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    pub(super) fn into_proto(self, path: &Path) -> Result<lb::Certificate, TableFileError> {
        Ok(lb::Certificate {
            chain: read(path, &self.chain)?,
            private_key: read(path, &self.key)?,
            certificate_arn: self.name,
        })
    }
}

/// Reads a file that the table file at `path` names, from there if its name is relative.
pub(super) fn read(path: &Path, named: &Path) -> Result<String, TableFileError> {
    let beside = path.parent().unwrap_or(Path::new("")).join(named);
    let text = std::fs::read_to_string(&beside).and_then(|text| {
        // In a table, no text is no authority: then nobody would be checked.
        let empty = || io::Error::new(io::ErrorKind::InvalidData, "it is empty");
        (!text.is_empty()).then_some(text).ok_or_else(empty)
    });
    text.map_err(|cause| TableFileError::Named {
        path: path.to_owned(),
        named: beside,
        cause,
    })
}
