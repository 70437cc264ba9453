//! Puts the parts of an agent together, and takes them apart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use roadstead_client::proto::agent::TaskReport;
use roadstead_client::{Backoff, ControlPlane};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::allocation::Pool;
use crate::config::{self, Config, ConfigError};
use crate::engine::{Engine, EngineError};
use crate::identity::{Identity, IdentityError, lock};
use crate::machine;
use crate::network::{Network, NetworkError};
use crate::plan;
use crate::reason::chain;
use crate::records::{RecordError, Records};
use crate::runtime::containerd::{Containerd, ContainerdError, ImageError, Own, OwnError, images};
use crate::runtime::{Runtime, RuntimeError};
use crate::session::Session;

/// Why an agent does not work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot set up the network")]
    Network(#[from] NetworkError),
    #[error("cannot use containerd")]
    Containerd(#[from] ContainerdError),
    #[error("cannot run a containerd of the agent's own")]
    Own(#[from] OwnError),
    #[error("cannot import {archive}")]
    Import {
        archive: PathBuf,
        #[source]
        cause: ImageError,
    },
    #[error("cannot remove the containers")]
    Sweep(#[source] RuntimeError),
    #[error("cannot remove {path}")]
    Remove {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

/// Runs an agent on containerd until it is stopped. Containers go on running, and so does a
/// containerd of its own; the next agent in the same data directory takes them over.
///
/// # Errors
/// Fails when it cannot begin; what fails later is tried again.
pub async fn run(
    config: Config,
    control_plane: ControlPlane,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    config.check()?;
    let identity = Identity::load(&config.data_dir)?;
    let own = (config.containerd == config::Containerd::Own).then(|| Own::of(&config));
    if let Some(own) = &own {
        own.ensure().await?;
    }
    // Ends with this function, also when it ends with an error.
    let stop = stop.child_token();
    let _guard = stop.clone().drop_guard();
    if let Some(own) = own {
        let stop = stop.clone();
        tokio::spawn(async move { own.keep_running(&stop).await });
    }
    let network = Arc::new(Network::new(&config)?);
    let Some(runtime) = until(&stop, connect(&config, &network)).await else {
        return Ok(());
    };
    serve(&config, identity, Arc::new(runtime), control_plane, &stop).await
}

/// Runs an agent on any runtime, such as the fake one, until it is stopped.
///
/// # Errors
/// Fails when it cannot begin.
pub async fn run_on<R: Runtime>(
    config: Config,
    runtime: Arc<R>,
    control_plane: ControlPlane,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    config.check()?;
    let identity = Identity::load(&config.data_dir)?;
    serve(&config, identity, runtime, control_plane, &stop).await
}

async fn serve<R: Runtime>(
    config: &Config,
    identity: Identity,
    runtime: Arc<R>,
    control_plane: ControlPlane,
    stop: &CancellationToken,
) -> Result<(), AgentError> {
    let records = Records::open(config.tasks_dir())?;
    let pool = Pool::new(
        config.subnet,
        config.dynamic_ports.clone(),
        &config.reserved_ports,
        rand::random(),
    );
    let settings = plan::Settings {
        stop_timeout: config.stop_timeout,
        stopped_task_retention: config.stopped_task_retention,
    };
    let restore = Engine::restore(runtime, records.clone(), pool, settings);
    let Some(engine) = until(stop, restore).await else {
        return Ok(());
    };
    let (desired, wanted) = watch::channel(None);
    let (report, reported) = watch::channel(TaskReport::default());
    let session = Session {
        control_plane,
        register: machine::register(config, &identity.container_instance_id),
        identity,
        records,
        desired,
        report: reported,
        revision: 0,
    };
    info!(
        container_instance = session.register.container_instance_id,
        cluster = config.cluster,
        "agent is ready"
    );
    // The engine publishes what it adopted before the session can report.
    tokio::join!(engine?.run(wanted, &report, stop), session.run(stop));
    Ok(())
}

/// Removes everything that an agent with this configuration has left on the machine: containers,
/// images, network, a containerd of its own, and the data directory. Nothing there is a success.
///
/// # Errors
/// Fails when an agent is running, or something cannot be removed.
pub async fn remove(config: &Config) -> Result<(), AgentError> {
    config.check()?;
    let network = Arc::new(Network::new(config)?);
    if config.data_dir.exists() {
        let _lock = lock(&config.data_dir)?;
        let own = (config.containerd == config::Containerd::Own).then(|| Own::of(config));
        if let Some(own) = &own {
            // It alone knows the shims that still run.
            own.ensure().await?;
        }
        let runtime = Containerd::connect(config, Arc::clone(&network)).await?;
        runtime.sweep().await.map_err(AgentError::Sweep)?;
        if let Ok(tasks) = Records::open(config.tasks_dir()).and_then(|records| records.load()) {
            for task in tasks.keys() {
                runtime.remove_cgroup(task);
            }
        }
        if let Some(own) = own {
            own.stop().await?;
        }
        runtime.remove_cgroups();
    }
    network.remove().await?;
    for directory in [config.run_dir(), config.data_dir.clone()] {
        remove_directory(&directory)?;
    }
    Ok(())
}

/// Imports the images of an archive with an OCI layout; returns their complete names. They are used
/// without asking any registry.
///
/// # Errors
/// Fails when containerd does not answer or the archive is not sound.
pub async fn import_image(config: &Config, archive: &Path) -> Result<Vec<String>, AgentError> {
    config.check()?;
    if config.containerd == config::Containerd::Own {
        Own::of(config).ensure().await?;
    }
    let images = images(config).await?;
    let imported = images.import(archive).await;
    imported.map_err(|cause| AgentError::Import {
        archive: archive.to_owned(),
        cause,
    })
}

async fn connect(config: &Config, network: &Arc<Network>) -> Containerd {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match Containerd::connect(config, Arc::clone(network)).await {
            Ok(runtime) => return runtime,
            Err(error) => warn!(error = chain(&error), "waiting for containerd"),
        }
        sleep(backoff.pause()).await;
    }
}

async fn until<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

/// Removes a directory with everything in it; mounts in it are let go first, never followed.
fn remove_directory(directory: &Path) -> Result<(), AgentError> {
    let error = |cause: io::Error| AgentError::Remove {
        path: directory.to_owned(),
        cause,
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(error)?;
    let mut points: Vec<&Path> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(Path::new)
        .filter(|point| point.starts_with(directory))
        .collect();
    points.reverse();
    for point in points {
        umount2(point, MntFlags::MNT_DETACH).map_err(|errno| error(errno.into()))?;
    }
    match fs::remove_dir_all(directory) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(error(cause)),
        Ok(()) | Err(_) => Ok(()),
    }
}
