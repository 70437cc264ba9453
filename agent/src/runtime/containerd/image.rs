//! Images: from a registry, from an archive, or already here.
//!
//! A pull resolves the tag, fetches what is missing and unpacks it. Many tasks that start together ask
//! for the same image: one of them pulls, and the answer holds for a short while for the others.

mod archive;
mod fetch;
mod manifest;
mod name;
mod registry;
mod signal;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci_spec::image::ImageConfiguration;
use tokio::time::Instant;
use tracing::{info, warn};

use super::client::{Client, ContainerdError};
use crate::reason::chain;
pub(super) use manifest::Descriptor;
pub(super) use name::{ImageName, NameError};
pub(super) use signal::stop_signal;

/// How long an answer holds: long enough for the tasks of one deployment step, short enough that a new
/// push under the same tag is seen.
const FRESH: Duration = Duration::from_secs(10);
/// Configurations kept in memory.
const KEPT: usize = 64;

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    #[error("registry {registry} does not give {what}")]
    Registry {
        registry: String,
        what: String,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot read registry credentials from {path}")]
    Credentials {
        path: PathBuf,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("{document} is not valid")]
    Document {
        document: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error("document {0} is too large")]
    TooLarge(String),
    #[error("image has no manifest for {0}")]
    Platform(String),
    #[error("image has {layers} layers but {diff_ids} diff ids")]
    Layers { layers: usize, diff_ids: usize },
    #[error("layer {layer} unpacks to {found} and not to {expected}")]
    WrongLayer {
        layer: String,
        expected: String,
        found: String,
    },
    #[error("cannot read image archive {path}")]
    Archive {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("image archive {path} has no {what}")]
    Incomplete { path: PathBuf, what: String },
    /// What another task was told a moment ago.
    #[error("{}", chain(&**.0))]
    Shared(Arc<ImageError>),
}

impl ImageError {
    /// Tells whether containerd is not there, which says nothing about the image.
    pub(super) fn is_absence(&self) -> bool {
        self.of_containerd()
            .is_some_and(ContainerdError::is_absence)
    }

    /// Returns what containerd said, when the failure is its.
    pub(super) fn of_containerd(&self) -> Option<&ContainerdError> {
        match self {
            Self::Containerd(error) => Some(error),
            Self::Shared(error) => error.of_containerd(),
            _ => None,
        }
    }
}

/// An image that is unpacked and ready to be launched.
#[derive(Debug)]
pub(super) struct Ready {
    /// Of the manifest for this platform.
    pub(super) digest: String,
    /// The snapshot that containers are based on; empty for an image without layers.
    pub(super) chain_id: String,
    pub(super) config: ImageConfiguration,
}

type Answer = Option<(Instant, Result<Arc<Ready>, Arc<ImageError>>)>;

/// The images of one agent.
#[derive(Debug)]
pub struct Images {
    pub(super) client: Client,
    credentials: Option<PathBuf>,
    flights: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Answer>>>>,
    ready: Mutex<BTreeMap<String, Arc<Ready>>>,
}

impl Images {
    /// Returns the images in containerd; `credentials` is a `config.json` of Docker.
    #[must_use]
    pub fn new(client: Client, credentials: Option<PathBuf>) -> Self {
        Self {
            client,
            credentials,
            flights: Mutex::new(BTreeMap::new()),
            ready: Mutex::new(BTreeMap::new()),
        }
    }

    /// Makes an image ready, by its name as a task definition has it.
    pub(super) async fn pull(&self, name: &str) -> Result<Arc<Ready>, ImageError> {
        let name: ImageName = name.parse()?;
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            // Only flights under way are shared by others; the rest may go when they grow stale.
            flights.retain(|_, flight| Arc::strong_count(flight) > 1 || is_fresh(flight));
            Arc::clone(flights.entry(name.to_string()).or_default())
        };
        let mut answer = flight.lock().await;
        if let Some((at, result)) = &*answer
            && at.elapsed() < FRESH
        {
            return result.clone().map_err(ImageError::Shared);
        }
        let result = self.pull_or_fall_back(&name).await.map_err(Arc::new);
        *answer = match &result {
            Err(error) if error.is_absence() => None,
            result => Some((Instant::now(), result.clone())),
        };
        result.map_err(ImageError::Shared)
    }

    /// Returns an image that was made ready before, by its manifest's digest.
    pub(super) async fn ready(&self, digest: &str) -> Result<Arc<Ready>, ImageError> {
        if let Some(ready) = self.remembered(digest) {
            return Ok(ready);
        }
        let ready = Arc::new(self.read(digest).await?);
        self.remember(&ready);
        Ok(ready)
    }

    /// Pull behaviour `default` of ECS: the registry first, and what is here if that fails. An image
    /// that was imported has no registry to ask.
    async fn pull_or_fall_back(&self, name: &ImageName) -> Result<Arc<Ready>, ImageError> {
        let local = self.local(name).await?;
        if let Some(local) = &local
            && !name.has_registry()
            && local.imported
        {
            return self.unpacked(&local.digest).await;
        }
        match self.fetch(name).await {
            Ok(ready) => {
                info!(image = %name, digest = ready.digest, "image is ready");
                self.remember(&ready);
                Ok(ready)
            }
            Err(error) if error.is_absence() => Err(error),
            Err(error) => match local {
                Some(local) => {
                    warn!(image = %name, error = chain(&error), "pull failed; using what is here");
                    self.unpacked(&local.digest).await
                }
                None => Err(error),
            },
        }
    }

    fn remembered(&self, digest: &str) -> Option<Arc<Ready>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.get(digest).cloned()
    }

    fn remember(&self, image: &Arc<Ready>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= KEPT {
            ready.clear();
        }
        ready.insert(image.digest.clone(), Arc::clone(image));
    }
}

fn is_fresh(flight: &tokio::sync::Mutex<Answer>) -> bool {
    flight.try_lock().is_ok_and(|answer| {
        let at = answer.as_ref().map(|(at, _)| *at);
        at.is_some_and(|at| at.elapsed() < FRESH)
    })
}
