//! Names of images, completed as Docker does it: `nginx` is `docker.io/library/nginx:latest`.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

const DOCKER_HUB: &str = "docker.io";
/// As the distribution specification limits it.
const LONGEST: usize = 255;

/// A complete name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    registry: String,
    repository: String,
    tag: String,
    digest: Option<String>,
    has_registry: bool,
}

/// Why a text does not name an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not the name of an image")]
pub struct NameError(String);

impl ImageName {
    /// Tells whether the name was written with a registry's host.
    #[must_use]
    pub(crate) fn has_registry(&self) -> bool {
        self.has_registry
    }

    /// Returns the registry's host, with its port if it has one.
    #[must_use]
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns how to ask the registry for it: by digest, else by tag.
    pub(super) fn reference(&self) -> Reference {
        let (registry, repository) = (self.registry.clone(), self.repository.clone());
        match &self.digest {
            Some(digest) => Reference::with_digest(registry, repository, digest.clone()),
            None => Reference::with_tag(registry, repository, self.tag.clone()),
        }
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError(text.to_owned());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(error()),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to the registry's port.
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            Some(_) | None => (rest, "latest"),
        };
        // Docker's rule: the first part is a host if it could not be a part of a path.
        let host = path
            .split_once('/')
            .filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
        let (registry, repository) = match host {
            Some((host, repository)) => (host, repository.to_owned()),
            None if path.contains('/') => (DOCKER_HUB, path.to_owned()),
            None => (DOCKER_HUB, format!("library/{path}")),
        };
        let sound = text.len() <= LONGEST
            && registry.starts_with(|c: char| c.is_ascii_alphanumeric())
            && registry.bytes().all(is_host_byte)
            && repository.split('/').all(is_path_part)
            && is_tag(tag);
        if !sound {
            return Err(error());
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            digest,
            has_registry: host.is_some(),
        })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (registry, repository) = (&self.registry, &self.repository);
        match &self.digest {
            Some(digest) => write!(formatter, "{registry}/{repository}@{digest}"),
            None => write!(formatter, "{registry}/{repository}:{}", self.tag),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-')
}

fn is_path_part(part: &str) -> bool {
    let inner = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    };
    part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.bytes().all(inner)
}

fn is_tag(tag: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> String {
        text.parse::<ImageName>().unwrap().to_string()
    }

    #[test]
    fn short_names_are_completed_as_docker_does_it() {
        assert_eq!(complete("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(complete("sample:v1"), "docker.io/library/sample:v1");
        assert_eq!(complete("shop/web"), "docker.io/shop/web:latest");
        assert_eq!(complete("localhost/web"), "localhost/web:latest");
        assert_eq!(complete("127.0.0.1:5000/a/b:1"), "127.0.0.1:5000/a/b:1");
        assert_eq!(complete("r.example/a:1"), "r.example/a:1");
    }

    #[test]
    fn a_digest_is_stronger_than_a_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(
            complete(&format!("r.example/a:1@{digest}")),
            format!("r.example/a@{digest}")
        );
    }

    #[test]
    fn a_host_is_told_from_a_path() {
        let has = |text: &str| text.parse::<ImageName>().unwrap().has_registry();
        assert!(has("localhost/web") && has("r.example/web") && has("r:5000/web"));
        assert!(!has("web") && !has("shop/web"));
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for text in [
            "",
            "UPPER",
            "a b",
            "a:",
            "a@sha256:12",
            "../x",
            "a//b",
            "a:-1",
        ] {
            assert_eq!(
                text.parse::<ImageName>(),
                Err(NameError(text.into())),
                "{text}"
            );
        }
    }
}
