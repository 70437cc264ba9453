//! The smallest process around the agent: what the tests kill and start again. `ctl` is the real one.
//!
//! Registry credentials are taken from a `config.json` beside the data directory, if there is one.
//!
//!     agent run NAME DATA_DIR CONTROL_PLANE_SOCKET SUBNET FIRST_PORT [CONTAINERD_SOCKET]
//!     agent container-logger DIRECTORY

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use roadstead_agent::{Config, Containerd};
use roadstead_client::ControlPlane;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("container-logger") => log(&arguments[1..]),
        Some("run") => run(&arguments[1..]),
        _ => Err("the first argument is neither `run` nor `container-logger`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&*error);
            while let Some(error) = cause {
                eprintln!("agent: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn log(arguments: &[String]) -> Result<(), Failure> {
    let [directory] = arguments else {
        return Err("container-logger takes one directory".into());
    };
    Ok(roadstead_agent::container_logger(Path::new(directory))?)
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let [
        name,
        data_dir,
        control_plane,
        subnet,
        first_port,
        containerd @ ..,
    ] = arguments
    else {
        return Err("run takes at least five arguments".into());
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let first_port: u16 = first_port.parse()?;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let logger = std::env::current_exe()?;
    let credentials = Path::new(data_dir).with_file_name("config.json");
    let config = Config {
        name: name.clone(),
        registry_auth: credentials.exists().then_some(credentials),
        subnet: subnet.parse()?,
        dynamic_ports: first_port..=first_port + 99,
        containerd: match containerd.first() {
            Some(socket) => Containerd::Socket(PathBuf::from(socket)),
            None => Containerd::Own,
        },
        stop_timeout: Duration::from_secs(2),
        ..Config::new("default".to_owned(), data_dir.into(), address, logger)
    };
    let control_plane = ControlPlane::new(vec![format!("unix:{control_plane}").parse()?]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = CancellationToken::new();
    Ok(runtime.block_on(roadstead_agent::run(config, control_plane, stop))?)
}
