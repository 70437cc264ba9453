//! Containers on one container instance.
//!
//! `session` brings the tasks that the control plane wants and takes reports back; `engine` owns the
//! tasks and loops over `plan`, which decides; `runtime` carries out, with containerd or a fake. `task`
//! is a task's state and its transitions, `records` keeps it, `report` tells it. `network`, `allocation`
//! and `health` do what their names say, and `logger` is the process beside each container.

mod agent;
mod allocation;
mod config;
mod engine;
mod health;
mod identity;
mod logger;
mod logs;
mod machine;
mod network;
mod plan;
mod reason;
mod records;
mod report;
pub mod runtime;
mod session;
mod subnet;
mod task;

pub use agent::{AgentError, import_image, remove, run, run_on};
pub use config::{Config, ConfigError, Containerd};
pub use identity::{IdentityError, container_instance_id};
pub use logger::{LoggerError, container_logger};
pub use subnet::{Subnet, SubnetError};
