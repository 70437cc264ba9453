//! `ctl dev`: a whole Roadstead on this host, in one process.
//!
//! One server, one agent and one load balancer, each on a thread and in a folder of its own below
//! the data directory. Stopping it leaves the containers running; `ctl dev down` removes everything.

mod down;
mod ready;
mod roles;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use roadstead_client::{ControlPlane, Endpoint};
use tokio_util::sync::CancellationToken;

use self::ready::Instance;
use self::roles::Roles;
use super::{absolute, agent, data_dir, open_files, stop};
use crate::config::{self, ConfigError};
use crate::connection::Connection;
use crate::context::{Context, ContextFile};
use crate::error::Error;
use crate::output::{self, Format};
use crate::{logging, runtime};

/// Where `ctl dev` keeps everything, and where client commands without a context look for it.
pub(crate) const DEFAULT_DATA_DIR: &str = "/var/lib/roadstead-dev";
const CLUSTER: &str = "default";
/// How long a part may take until it is up. A virtual machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stop a running `ctl dev` and remove all that it has left on this host.
    Down {
        /// Data directory that it was started with.
        #[arg(long, default_value = DEFAULT_DATA_DIR)]
        data_dir: PathBuf,
    },
}

/// The settings, as written.
#[derive(Debug, clap::Args)]
struct Settings {
    /// Holds everything; removed by `ctl dev down`.
    #[arg(long, default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// Socket of a containerd that runs already; without it the agent starts its own.
    #[arg(long, env = "ROADSTEAD_CONTAINERD", value_name = "SOCKET")]
    containerd: Option<PathBuf>,
    /// Names this host's bridge, containerd namespace and cgroups, beside those of other agents.
    #[arg(long, default_value = "dev")]
    name: String,
    /// Where containers in network mode bridge get their addresses [default: 172.31.0.0/16].
    #[arg(long, env = "ROADSTEAD_SUBNET")]
    subnet: Option<String>,
    /// A config.json as `docker login` writes it, with the credentials of registries.
    #[arg(long, env = "ROADSTEAD_REGISTRY_AUTH", value_name = "FILE")]
    registry_auth: Option<PathBuf>,
}

/// What is going to run, resolved.
struct Plan {
    data_dir: PathBuf,
    endpoint: Endpoint,
    server: roadstead_server::Config,
    agent_settings: agent::Settings,
    agent: roadstead_agent::Config,
    lb: roadstead_lb::Config,
}

/// Runs everything until it is told to stop, or removes it.
///
/// # Errors
/// Fails when a setting is wrong, the data directory is in use, or one of the roles does.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    if let Some(Command::Down { data_dir }) = args.command {
        return down::run(&absolute("data_dir", &data_dir)?);
    }
    logging::start(logging::Level::INFO)?;
    let plan = resolve(args.settings)?;
    open_files::raise_for(plan.lb.max_connections);
    let claims = [
        &plan.data_dir,
        &plan.server.data_dir,
        &plan.agent.data_dir,
        &plan.lb.data_dir,
    ];
    let _claims = claims
        .into_iter()
        .map(|directory| data_dir::claim(directory))
        .collect::<Result<Vec<_>, _>>()
        .map_err(anyhow::Error::from)?;
    // The records stand before anything is started, so that `down` can undo a start that failed.
    agent::record(&plan.agent.data_dir, &plan.agent_settings)?;
    config::write_file(&context_path(&plan.data_dir), &context_file(&plan.endpoint))?;
    runtime::block_on(supervise(plan))
}

/// Returns the socket of the server below a data directory.
pub(crate) fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("server.sock")
}

/// Returns the agent's folder below a data directory.
pub(crate) fn agent_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("agent")
}

fn context_path(data_dir: &Path) -> PathBuf {
    data_dir.join("context.toml")
}

fn context_file(endpoint: &Endpoint) -> ContextFile {
    ContextFile {
        endpoints: vec![endpoint.to_string()],
        cluster: Some(CLUSTER.to_owned()),
    }
}

fn resolve(settings: Settings) -> Result<Plan, ConfigError> {
    let data_dir = absolute("data_dir", &settings.data_dir)?;
    // Through its text: a path that is too long for a socket is refused here.
    let endpoint: Endpoint =
        config::parse("data_dir", &Endpoint::Unix(socket(&data_dir)).to_string())?;
    let agent_settings = agent::Settings {
        endpoints: vec![endpoint.to_string()],
        cluster: Some(CLUSTER.to_owned()),
        name: Some(settings.name),
        data_dir: Some(agent_dir(&data_dir)),
        containerd: settings.containerd,
        subnet: settings.subnet,
        registry_auth: settings.registry_auth,
        ..agent::Settings::default()
    };
    Ok(Plan {
        server: roadstead_server::Config::new(1, data_dir.join("server"), socket(&data_dir)),
        agent: agent_settings.resolve()?,
        lb: roadstead_lb::Config {
            data_dir: data_dir.join("lb"),
            ..Default::default()
        },
        agent_settings,
        endpoint,
        data_dir,
    })
}

async fn supervise(plan: Plan) -> Result<(), Error> {
    let stop = stop::on_signal()?;
    let (roles, mut ends) = Roles::new(stop.clone());
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        end = ends.next() => Err(end),
        outcome = Box::pin(live(roles, plan, stop.clone())) => outcome,
    };
    stop.cancel();
    let ended = ends.all().await;
    outcome.and(ended)
}

async fn live(roles: Roles, plan: Plan, stop: CancellationToken) -> Result<(), Error> {
    let Plan {
        data_dir,
        endpoint,
        server,
        agent,
        lb,
        ..
    } = plan;
    let control_plane = ControlPlane::new(vec![endpoint.clone()]);
    let context = Context {
        endpoints: vec![endpoint.clone()],
        credentials: None,
        cluster: Some(CLUSTER.to_owned()),
    };
    let connection = Connection::new(context, Format::Table);

    roles.start("server", async move |stop| {
        let ended = Box::pin(roadstead_server::run(server, stop)).await;
        ended.map_err(anyhow::Error::from)
    })?;
    ready::leader(&connection).await?;
    ready::cluster(&connection, CLUSTER).await?;

    let name = agent.name.clone();
    let address = agent.address;
    let way = control_plane.clone();
    roles.start("agent", async move |stop| {
        let ended = Box::pin(roadstead_agent::run(agent, way, stop)).await;
        ended.map_err(anyhow::Error::from)
    })?;
    let source = roadstead_lb::Source::ControlPlane(control_plane);
    roles.start("lb", async move |stop| {
        let ended = Box::pin(roadstead_lb::run(lb, source, stop)).await;
        ended.map_err(anyhow::Error::from)
    })?;
    let instance = ready::instance(&connection).await?;
    ready::load_balancer(&connection).await?;

    drop(roles);
    output::write_line(&welcome(
        &data_dir,
        &endpoint,
        &name,
        &address.to_string(),
        &instance,
    ))?;
    stop.cancelled().await;
    Ok(())
}

/// What is up, and what to try next.
fn welcome(
    data_dir: &Path,
    endpoint: &Endpoint,
    name: &str,
    address: &str,
    instance: &Instance,
) -> String {
    let context = context_path(data_dir);
    let export = if data_dir == Path::new(DEFAULT_DATA_DIR) {
        String::new()
    } else {
        format!("  export ROADSTEAD_CONTEXT={}\n", context.display())
    };
    format!(
        "Roadstead is up.

  control plane  {endpoint}
  agent          {name}: container instance {} in cluster {CLUSTER}
  load balancer  serves each listener's port of this host ({address})
  data           {}

Try next, in another terminal:

{export}  ctl status
  ctl instance list
  ctl task-definition register --file FILE
  ctl service create NAME --task-definition FAMILY --desired-count 2

Ctrl-C stops this process; the containers run on, and the next `ctl dev` finds them again.
`ctl dev down` removes everything.",
        instance.id,
        data_dir.display(),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn settings(data_dir: &str) -> Settings {
        Settings {
            data_dir: data_dir.into(),
            containerd: None,
            name: "dev".into(),
            subnet: None,
            registry_auth: None,
        }
    }

    #[test]
    fn each_role_has_a_folder_of_its_own() {
        let plan = resolve(settings("/data")).unwrap();
        assert_eq!(plan.endpoint.to_string(), "unix:/data/server.sock");
        assert_eq!(plan.server.data_dir, Path::new("/data/server"));
        assert_eq!(plan.agent.data_dir, Path::new("/data/agent"));
        assert_eq!(plan.lb.data_dir, Path::new("/data/lb"));
        assert_eq!(plan.agent.name, "dev");
    }

    #[test]
    fn a_data_directory_too_deep_for_a_socket_is_refused_by_its_key() {
        let error = resolve(settings(&format!("/{}", "x".repeat(120))))
            .err()
            .unwrap();
        assert!(error.to_string().starts_with("data_dir: "), "{error}");
    }

    #[test]
    fn a_name_that_no_agent_could_have_is_refused_before_anything_is_made() {
        let bad = Settings {
            name: "No Name".into(),
            ..settings("/data")
        };
        let error = Error::from(resolve(bad).err().unwrap());
        assert_eq!(error.exit_code(), 64);
        assert!(error.to_string().starts_with("name `No Name`"), "{error}");
    }

    #[test]
    fn the_welcome_says_what_is_up_and_what_to_try() {
        let endpoint = "unix:/data/server.sock".parse().unwrap();
        let instance = Instance { id: "0af1".into() };
        let welcome = welcome(Path::new("/data"), &endpoint, "dev", "127.0.0.1", &instance);
        expect![[r#"
            Roadstead is up.

              control plane  unix:/data/server.sock
              agent          dev: container instance 0af1 in cluster default
              load balancer  serves each listener's port of this host (127.0.0.1)
              data           /data

            Try next, in another terminal:

              export ROADSTEAD_CONTEXT=/data/context.toml
              ctl status
              ctl instance list
              ctl task-definition register --file FILE
              ctl service create NAME --task-definition FAMILY --desired-count 2

            Ctrl-C stops this process; the containers run on, and the next `ctl dev` finds them again.
            `ctl dev down` removes everything."#]]
        .assert_eq(&welcome);
    }
}
