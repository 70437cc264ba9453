//! Reads configuration: TOML files and single values, each error naming its file or key.
//!
//! Every role and the context file go through here, so that a bad value looks the same everywhere
//! and ends with exit code 64 before anything is bound.

use std::error::Error;
use std::io;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use roadstead_client::durable;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} is no valid configuration", .path.display())]
    Syntax {
        path: PathBuf,
        #[source]
        cause: Box<toml::de::Error>,
    },
    #[error("cannot write {} as TOML", .path.display())]
    Encode {
        path: PathBuf,
        #[source]
        cause: toml::ser::Error,
    },
    #[error("cannot lay the flags over the configuration file")]
    Layers {
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error(transparent)]
    Agent(roadstead_agent::ConfigError),
    #[error(transparent)]
    Credentials(#[from] roadstead_client::CredentialsError),
    #[error("{key}: `{value}` is not valid")]
    Value {
        key: &'static str,
        value: String,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("{key} is missing: give it by {by}")]
    Missing { key: &'static str, by: &'static str },
}

/// Reads a TOML file.
///
/// # Errors
/// Fails when the file cannot be read, or has a key that `T` does not know.
pub(crate) fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Read {
        path: path.to_owned(),
        cause,
    })?;
    toml::from_str(&text).map_err(|cause| ConfigError::Syntax {
        path: path.to_owned(),
        cause: Box::new(cause),
    })
}

/// Reads a TOML file that may be absent; every key is then as if it were not given.
///
/// # Errors
/// As [`read_file`], but for the absence.
pub(crate) fn read_file_if_any<T: DeserializeOwned + Default>(
    path: &Path,
) -> Result<T, ConfigError> {
    match read_file(path) {
        Err(ConfigError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            Ok(T::default())
        }
        outcome => outcome,
    }
}

/// Returns the settings of a role: those of the file, if one is named, and key by key over them
/// those of the environment and the flags.
///
/// # Errors
/// As [`read_file`].
pub(crate) fn layered<T>(file: Option<&Path>, over: T) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned,
{
    // Through tables, so that a key added later cannot be forgotten here.
    let layers = |cause: Box<dyn Error + Send + Sync>| ConfigError::Layers { cause };
    let mut keys = match file {
        Some(path) => toml::Table::try_from(read_file::<T>(path)?).map_err(|e| layers(e.into()))?,
        None => toml::Table::new(),
    };
    keys.extend(toml::Table::try_from(over).map_err(|e| layers(e.into()))?);
    keys.try_into()
        .map_err(|e: toml::de::Error| layers(e.into()))
}

/// Writes a TOML file as a whole: a reader sees the old one or the new one, also after a power cut.
///
/// # Errors
/// Fails when the folder or the file cannot be written.
pub(crate) fn write_file<T: Serialize>(path: &Path, value: &T) -> Result<(), ConfigError> {
    let text = toml::to_string(value).map_err(|cause| ConfigError::Encode {
        path: path.to_owned(),
        cause,
    })?;
    durable::replace(path, text.as_bytes()).map_err(|cause| ConfigError::Write {
        path: path.to_owned(),
        cause,
    })
}

/// Reads one value written as text.
///
/// # Errors
/// Fails with the name of the key and the value.
pub(crate) fn parse<T>(key: &'static str, text: &str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: Into<Box<dyn Error + Send + Sync>>,
{
    text.parse().map_err(|cause: T::Err| ConfigError::Value {
        key,
        value: text.to_owned(),
        cause: cause.into(),
    })
}

/// Reads a duration written as text, such as `30s`.
///
/// # Errors
/// As [`parse`].
pub(crate) fn duration(key: &'static str, text: &str) -> Result<Duration, ConfigError> {
    parse::<humantime::Duration>(key, text).map(Into::into)
}

/// Reads a duration of whole seconds.
///
/// # Errors
/// As [`parse`].
pub(crate) fn whole_seconds(key: &'static str, text: &str) -> Result<i32, ConfigError> {
    let duration = duration(key, text)?;
    let seconds = i32::try_from(duration.as_secs()).ok();
    let seconds = seconds.filter(|_| duration.subsec_nanos() == 0);
    seconds.ok_or_else(|| ConfigError::Value {
        key,
        value: text.to_owned(),
        cause: "whole seconds are needed, such as 10s, and no more than 2147483647s".into(),
    })
}

/// Reads a number of bytes written as text: `64KiB`, `512MiB`, `4GiB`, or a plain number.
///
/// # Errors
/// As [`parse`].
pub(crate) fn bytes(key: &'static str, text: &str) -> Result<u64, ConfigError> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1_u64 << 30)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1));
    let wrong = |cause: Box<dyn Error + Send + Sync>| ConfigError::Value {
        key,
        value: text.to_owned(),
        cause,
    };
    let number: u64 = number
        .trim()
        .parse()
        .map_err(|e: ParseIntError| wrong(e.into()))?;
    number
        .checked_mul(unit)
        .ok_or_else(|| wrong("too many bytes".into()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        name: Option<String>,
    }

    #[test]
    fn a_bad_value_names_its_key() {
        let error = parse::<IpAddr>("address", "here").unwrap_err();
        assert_eq!(error.to_string(), "address: `here` is not valid");
        let error = duration("agent_timeout", "5 apples").unwrap_err();
        assert_eq!(error.to_string(), "agent_timeout: `5 apples` is not valid");
        assert_eq!(
            duration("agent_timeout", "1m 30s").unwrap(),
            Duration::from_secs(90)
        );
    }

    #[test]
    fn a_file_reads_back_as_it_was_written_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/example.toml");
        assert_eq!(
            read_file_if_any::<Example>(&path).unwrap(),
            Example::default()
        );
        let example = Example {
            name: Some("web".into()),
        };
        write_file(&path, &example).unwrap();
        assert_eq!(read_file::<Example>(&path).unwrap(), example);
    }

    #[test]
    fn flags_lie_over_the_file_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.toml");
        std::fs::write(&path, "name = \"file\"\n").unwrap();
        let none = layered(Some(&path), Example { name: None }).unwrap();
        assert_eq!(none.name.as_deref(), Some("file"));
        for file in [Some(path.as_path()), None] {
            let flag = Example {
                name: Some("flag".into()),
            };
            assert_eq!(layered(file, flag).unwrap().name.as_deref(), Some("flag"));
        }
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(bytes("memory", "4GiB").unwrap(), 4 << 30);
        assert_eq!(bytes("memory", "64 KiB").unwrap(), 64 << 10);
        assert_eq!(bytes("memory", "10").unwrap(), 10);
        for text in ["4GB", "-1", "", "99999999999GiB"] {
            let error = bytes("memory", text).unwrap_err();
            assert_eq!(error.to_string(), format!("memory: `{text}` is not valid"));
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.toml");
        std::fs::write(&path, "nmae = \"web\"\n").unwrap();
        let error = read_file::<Example>(&path).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("unknown field `nmae`"), "{cause}");
    }
}
