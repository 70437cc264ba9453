//! Asks registries: HTTPS, or plain HTTP where nobody can listen in, on this machine's loopback.
//!
//! A client lives for one pull. Pulls are rare, a TLS configuration is large, and credentials that
//! were renewed in the file must be seen.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, StreamExt};
use oci_client::client::{ClientConfig, ClientProtocol, LayerDescriptor};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde::Deserialize;

use super::manifest::{ACCEPTED, Descriptor};
use super::{ImageError, ImageName};

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A registry that sends nothing for so long has failed.
const SILENCE_DEADLINE: Duration = Duration::from_secs(30);
/// Manifests and tokens are small (ecs-agent: manifest pull timeout).
const MANIFEST_DEADLINE: Duration = Duration::from_secs(60);

pub(super) struct Registry {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
}

impl Registry {
    /// Returns the registry of an image, with the credentials for it if the file has any.
    pub(super) fn of(name: &ImageName, credentials: Option<&Path>) -> Result<Self, ImageError> {
        // Another provider that is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = if is_loopback(name.registry()) {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT_DEADLINE),
            read_timeout: Some(SILENCE_DEADLINE),
            ..ClientConfig::default()
        };
        let auth = match credentials {
            None => RegistryAuth::Anonymous,
            Some(path) => {
                read_auth(path, name.registry()).map_err(|cause| ImageError::Credentials {
                    path: path.to_owned(),
                    cause,
                })?
            }
        };
        Ok(Self {
            client: Client::new(config),
            reference: name.reference(),
            auth,
        })
    }

    /// Fetches what the image's name leads to: a manifest or an index, with its digest.
    pub(super) async fn resolve(&self) -> Result<(Vec<u8>, String), ImageError> {
        self.manifest(&self.reference).await
    }

    /// Fetches one manifest of an index.
    pub(super) async fn choose(&self, digest: &str) -> Result<(Vec<u8>, String), ImageError> {
        let chosen = self.reference.clone_with_digest(digest.to_owned());
        self.manifest(&chosen).await
    }

    /// Opens a blob.
    pub(super) async fn blob(
        &self,
        blob: &Descriptor,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, ImageError>> + use<>, ImageError> {
        let (registry, digest) = (self.reference.registry().to_owned(), blob.digest.clone());
        let layer = LayerDescriptor {
            digest: &blob.digest,
            urls: &None,
        };
        let opened = self.client.pull_blob_stream(&self.reference, &layer).await;
        let stream = opened.map_err(|cause| self.error(&digest, cause.into()))?;
        Ok(stream.stream.map(move |chunk| {
            let chunk = chunk.map_err(|cause| ImageError::Registry {
                registry: registry.clone(),
                what: digest.clone(),
                cause: cause.into(),
            })?;
            Ok(Vec::from(chunk))
        }))
    }

    async fn manifest(&self, reference: &Reference) -> Result<(Vec<u8>, String), ImageError> {
        let pull = self
            .client
            .pull_manifest_raw(reference, &self.auth, &ACCEPTED);
        let pulled = tokio::time::timeout(MANIFEST_DEADLINE, pull).await;
        let what = reference.whole();
        let (bytes, digest) = pulled
            .map_err(|elapsed| self.error(&what, elapsed.into()))?
            .map_err(|cause: OciDistributionError| self.error(&what, cause.into()))?;
        Ok((bytes.to_vec(), digest))
    }

    fn error(&self, what: &str, cause: Box<dyn Error + Send + Sync>) -> ImageError {
        ImageError::Registry {
            registry: self.reference.registry().to_owned(),
            what: what.to_owned(),
            cause,
        }
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
}

/// A `config.json` as `docker login` writes it.
#[derive(Debug, Default, Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Debug, Default, Deserialize)]
struct Auth {
    /// `user:password` in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    registrytoken: Option<String>,
}

fn read_auth(path: &Path, registry: &str) -> Result<RegistryAuth, Box<dyn Error + Send + Sync>> {
    let config: DockerConfig = serde_json::from_slice(&std::fs::read(path)?)?;
    auth_for(config, registry)
}

fn auth_for(
    mut config: DockerConfig,
    registry: &str,
) -> Result<RegistryAuth, Box<dyn Error + Send + Sync>> {
    let hub = (registry == "docker.io").then_some("https://index.docker.io/v1/");
    let keys = [
        registry.to_owned(),
        format!("https://{registry}"),
        format!("http://{registry}"),
    ];
    let found = keys.iter().map(String::as_str).chain(hub);
    let mut found = found.filter_map(|key| config.auths.remove(key));
    let Some(auth) = found.next() else {
        return Ok(RegistryAuth::Anonymous);
    };
    if let Some(token) = auth.registrytoken {
        return Ok(RegistryAuth::Bearer(token));
    }
    if let (Some(username), Some(password)) = (auth.username, auth.password) {
        return Ok(RegistryAuth::Basic(username, password));
    }
    let Some(encoded) = auth.auth else {
        return Ok(RegistryAuth::Anonymous);
    };
    let decoded = String::from_utf8(STANDARD.decode(encoded)?)?;
    let (username, password) = decoded
        .split_once(':')
        .ok_or("an entry of `auths` is not `user:password`")?;
    Ok(RegistryAuth::Basic(
        username.to_owned(),
        password.to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(json: &str, registry: &str) -> RegistryAuth {
        auth_for(serde_json::from_str(json).unwrap(), registry).unwrap()
    }

    #[test]
    fn only_loopback_is_spoken_to_in_the_clear() {
        assert!(is_loopback("localhost:5000") && is_loopback("127.3.2.1"));
        assert!(!is_loopback("docker.io") && !is_loopback("10.0.0.1:5000"));
        assert!(!is_loopback("localhost.example:80"));
    }

    #[test]
    fn credentials_are_found_by_registry() {
        let json = r#"{"auths":{"r:5000":{"auth":"dTpwOnE="},
            "https://index.docker.io/v1/":{"username":"u","password":"p"}},"credsStore":"x"}"#;
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.into(), password.into());
        assert_eq!(auth(json, "r:5000"), basic("u", "p:q"));
        assert_eq!(auth(json, "docker.io"), basic("u", "p"));
        assert_eq!(auth(json, "other"), RegistryAuth::Anonymous);
    }
}
