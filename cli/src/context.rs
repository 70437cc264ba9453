//! Which control plane and which cluster a client command goes to.
//!
//! The context file comes first, the environment overrides it, flags override both. Without any of
//! them, the commands go to the control plane that `ctl dev` starts.

use std::path::{Path, PathBuf};

use roadstead_client::{Credentials, Endpoint};
use serde::{Deserialize, Serialize};

use crate::args::Globals;
use crate::config::{self, ConfigError};
use crate::daemon::dev;

/// What the environment says, read once.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// `ROADSTEAD_ENDPOINT`, separated by commas.
    endpoints: Vec<String>,
    /// `ROADSTEAD_CLUSTER`
    cluster: Option<String>,
    /// `ROADSTEAD_CONTEXT`
    context: Option<PathBuf>,
    /// `HOME`
    home: Option<PathBuf>,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            endpoints: text("ROADSTEAD_ENDPOINT")
                .map(|list| list.split(',').map(|part| part.trim().to_owned()).collect())
                .unwrap_or_default(),
            cluster: text("ROADSTEAD_CLUSTER"),
            context: std::env::var_os("ROADSTEAD_CONTEXT").map(PathBuf::from),
            home: std::env::var_os("HOME").map(PathBuf::from),
        }
    }
}

/// The context file, as written.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ContextFile {
    /// Servers of the control plane, as `unix:/path`.
    pub(crate) endpoints: Vec<String>,
    /// Cluster to act in; the server's default is `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
}

impl ContextFile {
    /// Returns this file's values with the other's where it has some.
    pub(crate) fn overlaid(self, other: Self) -> Self {
        Self {
            endpoints: if other.endpoints.is_empty() {
                self.endpoints
            } else {
                other.endpoints
            },
            cluster: other.cluster.or(self.cluster),
        }
    }
}

/// The context, resolved.
#[derive(Debug, PartialEq)]
pub(crate) struct Context {
    /// Never empty.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What servers on other hosts ask for.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) cluster: Option<String>,
}

/// Returns where the certificate for the control plane of a context file is kept.
pub(crate) fn credentials_directory(file: &Path) -> PathBuf {
    // Two contexts may lie in one folder.
    file.with_extension("tls")
}

/// Returns what the environment and the flags say, flags before environment.
pub(crate) fn given(globals: &Globals, environment: &Environment) -> ContextFile {
    let environment = ContextFile {
        endpoints: environment.endpoints.clone(),
        cluster: environment.cluster.clone(),
    };
    environment.overlaid(flags(globals))
}

/// Returns what the flags alone say.
pub(crate) fn flags(globals: &Globals) -> ContextFile {
    ContextFile {
        endpoints: globals.endpoints.clone(),
        cluster: globals.cluster.clone(),
    }
}

/// Returns the path of the context file, and whether it was asked for by name.
///
/// # Errors
/// Fails when there is neither `ROADSTEAD_CONTEXT` nor a home directory.
pub(crate) fn file_path(environment: &Environment) -> Result<(PathBuf, bool), ConfigError> {
    match (&environment.context, &environment.home) {
        (Some(named), _) => Ok((named.clone(), true)),
        (None, Some(home)) => Ok((home.join(".config/roadstead/context.toml"), false)),
        (None, None) => Err(ConfigError::Missing {
            key: "context",
            by: "ROADSTEAD_CONTEXT or HOME",
        }),
    }
}

/// Finds the context of a client command.
///
/// # Errors
/// Fails when a context file that was asked for is absent, a file is no valid TOML, or a value is wrong.
pub(crate) fn find(globals: &Globals, environment: &Environment) -> Result<Context, ConfigError> {
    let (file, credentials) = match file_path(environment) {
        Ok((path, named)) => {
            let file = if named {
                config::read_file(&path)?
            } else {
                config::read_file_if_any(&path)?
            };
            (file, Credentials::load(&credentials_directory(&path))?)
        }
        // A system service has no home: flags and environment are then all there is.
        Err(_) => (ContextFile::default(), None),
    };
    let context = resolve(file.overlaid(given(globals, environment)))?;
    Ok(Context {
        credentials,
        ..context
    })
}

/// Checks every value.
///
/// # Errors
/// Fails with the key of the value that is wrong.
pub(crate) fn resolve(raw: ContextFile) -> Result<Context, ConfigError> {
    let mut endpoints = endpoints(&raw.endpoints)?;
    if endpoints.is_empty() {
        endpoints.push(Endpoint::Unix(dev::socket(dev::DEFAULT_DATA_DIR.as_ref())));
    }
    Ok(Context {
        endpoints,
        credentials: None,
        cluster: raw.cluster,
    })
}

/// Reads a list of endpoints.
///
/// # Errors
/// Fails with the endpoint that is wrong.
pub(crate) fn endpoints(texts: &[String]) -> Result<Vec<Endpoint>, ConfigError> {
    texts
        .iter()
        .map(|text| config::parse("endpoint", text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(endpoint: &[&str], cluster: Option<&str>) -> Globals {
        Globals {
            endpoints: endpoint.iter().map(|&text| text.to_owned()).collect(),
            cluster: cluster.map(str::to_owned),
            ..Globals::default()
        }
    }

    fn environment(endpoint: &str, file: Option<PathBuf>) -> Environment {
        Environment {
            endpoints: vec![endpoint.to_owned()],
            context: file,
            ..Environment::default()
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_the_environment_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("context.toml");
        let file = ContextFile {
            endpoints: vec!["unix:/file".into()],
            cluster: Some("from-file".into()),
        };
        config::write_file(&path, &file).unwrap();
        let environment = environment("unix:/environment", Some(path));

        let context = find(&globals(&[], None), &environment).unwrap();
        assert_eq!(context.endpoints[0].to_string(), "unix:/environment");
        assert_eq!(context.cluster.as_deref(), Some("from-file"));

        let context = find(&globals(&["unix:/flag"], Some("c")), &environment).unwrap();
        assert_eq!(context.endpoints[0].to_string(), "unix:/flag");
        assert_eq!(context.cluster.as_deref(), Some("c"));
    }

    #[test]
    fn without_any_context_the_commands_go_to_the_control_plane_of_ctl_dev() {
        let context = find(&globals(&[], None), &Environment::default()).unwrap();
        assert_eq!(
            context.endpoints[0].to_string(),
            "unix:/var/lib/roadstead-dev/server.sock"
        );
        assert_eq!(context.cluster, None);
    }

    #[test]
    fn a_context_file_that_was_asked_for_must_be_there() {
        let environment = environment("unix:/a", Some("/nonexistent/context.toml".into()));
        let error = find(&globals(&[], None), &environment).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/context.toml");
    }

    #[test]
    fn a_wrong_endpoint_is_named() {
        let error = find(&globals(&["http://x"], None), &Environment::default()).unwrap_err();
        assert_eq!(error.to_string(), "endpoint: `http://x` is not valid");
    }
}
