//! Reads what a command is given in a file or on standard input; a request in the shape of the AWS CLI's
//! `--cli-input-json`.
//!
//! The messages refuse keys that they do not know, so a request is never half understood.

use std::io::{self, Read as _};

use serde::de::DeserializeOwned;

/// Why a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot read {file}")]
    Read {
        file: String,
        #[source]
        cause: io::Error,
    },
    #[error("{file} is no valid request")]
    Json {
        file: String,
        #[source]
        cause: serde_json::Error,
    },
}

/// Reads one request; `-` is standard input.
///
/// # Errors
/// Fails when the file cannot be read, is no JSON, or has a key that the request does not know.
pub(crate) fn read<T: DeserializeOwned>(file: &str) -> Result<T, InputError> {
    serde_json::from_str(&read_text(file)?).map_err(|cause| InputError::Json {
        file: file.to_owned(),
        cause,
    })
}

/// Reads a text, such as PEM; `-` is standard input.
///
/// # Errors
/// Fails when the file cannot be read, or is no text.
pub(crate) fn read_text(file: &str) -> Result<String, InputError> {
    let text = match file {
        "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        }
        path => std::fs::read_to_string(path),
    };
    text.map_err(|cause| InputError::Read {
        file: file.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use roadstead_client::proto::ecs::RegisterTaskDefinitionRequest;

    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused_by_name_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.json");
        std::fs::write(&path, r#"{"family": "web", "executionRoleArn": "x"}"#).unwrap();
        let error = read::<RegisterTaskDefinitionRequest>(path.to_str().unwrap()).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(
            cause.starts_with("unknown field `executionRoleArn`"),
            "{cause}"
        );
        assert!(cause.contains("line 1"), "{cause}");
    }
}
