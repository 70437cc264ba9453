//! The OCI runtime specification of a container: what runc is told.
//!
//! A pure function of the task definition, the image's configuration and the place in the network.
//! Defaults are Docker's, because that is what images are built for.

mod mounts;
mod process;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxMemoryBuilder,
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxResources,
    LinuxResourcesBuilder, RootBuilder, Spec, SpecBuilder,
};
use roadstead_client::proto::ecs::ContainerDefinition;

use super::user::User;

const MASKED_PATHS: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The least that the kernel takes (ECS sends it for 0 and 1).
const LEAST_SHARES: u64 = 2;

/// Why a container cannot be specified.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpecError {
    #[error("no command specified: neither the container definition nor the image has one")]
    NoCommand,
    #[error("cannot build the runtime specification")]
    Build(#[from] OciSpecError),
}

/// What a container's specification is made of.
#[derive(Debug, Clone)]
pub(super) struct Ingredients<'a> {
    pub(super) definition: &'a ContainerDefinition,
    pub(super) image: &'a ImageConfiguration,
    pub(super) user: &'a User,
    pub(super) hostname: &'a str,
    /// A network namespace of its own; the machine's when absent.
    pub(super) network: Option<&'a Path>,
    pub(super) cgroup: &'a str,
    /// Whether the machine has control groups of version 2.
    pub(super) unified: bool,
    /// The limit of open files.
    pub(super) open_files: u64,
    /// Has `hosts`, `hostname` and `resolv.conf`.
    pub(super) files: &'a Path,
}

/// Returns the specification of a container.
pub(super) fn spec(of: &Ingredients) -> Result<Spec, SpecError> {
    let root = RootBuilder::default().path("rootfs").readonly(false);
    let spec = SpecBuilder::default()
        .version("1.0.2")
        .root(root.build()?)
        .process(process::process(of)?)
        .mounts(mounts::mounts(of)?)
        .linux(linux(of)?);
    let mut spec = spec.build()?;
    // Always set: the builder's own default is a name too.
    spec.set_hostname(of.network.map(|_| of.hostname.to_owned()));
    Ok(spec)
}

fn linux(of: &Ingredients) -> Result<Linux, SpecError> {
    let linux = LinuxBuilder::default()
        .namespaces(namespaces(of)?)
        .cgroups_path(PathBuf::from(of.cgroup))
        .resources(resources(of.definition)?)
        .masked_paths(MASKED_PATHS.map(str::to_owned).to_vec())
        .readonly_paths(READONLY_PATHS.map(str::to_owned).to_vec())
        .sysctl(sysctls(of));
    Ok(linux.build()?)
}

fn namespaces(of: &Ingredients) -> Result<Vec<LinuxNamespace>, SpecError> {
    let mut kinds = vec![
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Mount,
    ];
    if of.network.is_some() {
        // With the machine's network a container has the machine's name too, as in Docker.
        kinds.push(LinuxNamespaceType::Uts);
    }
    if of.unified {
        kinds.push(LinuxNamespaceType::Cgroup);
    }
    let kinds = kinds.into_iter();
    let mut namespaces = kinds
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build())
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = of.network {
        let network = LinuxNamespaceBuilder::default()
            .typ(LinuxNamespaceType::Network)
            .path(path);
        namespaces.push(network.build()?);
    }
    Ok(namespaces)
}

/// In a network of its own any user may open any port, as Docker has it since version 20.10.
fn sysctls(of: &Ingredients) -> HashMap<String, String> {
    let own = of.network.map(|_| {
        let key = "net.ipv4.ip_unprivileged_port_start".to_owned();
        (key, "0".to_owned())
    });
    own.into_iter().collect()
}

fn resources(definition: &ContainerDefinition) -> Result<LinuxResources, SpecError> {
    // runc adds the devices that every container has.
    let devices = LinuxDeviceCgroupBuilder::default()
        .allow(false)
        .access("rwm");
    let shares = definition.cpu.and_then(|cpu| u64::try_from(cpu).ok());
    let cpu = LinuxCpuBuilder::default().shares(shares.unwrap_or(0).max(LEAST_SHARES));
    let mut memory = LinuxMemoryBuilder::default();
    if let Some(limit) = bytes(definition.memory) {
        memory = memory.limit(limit);
    }
    if let Some(reservation) = bytes(definition.memory_reservation) {
        memory = memory.reservation(reservation);
    }
    let resources = LinuxResourcesBuilder::default()
        .devices(vec![devices.build()?])
        .cpu(cpu.build()?)
        .memory(memory.build()?);
    Ok(resources.build()?)
}

fn bytes(mib: Option<i32>) -> Option<i64> {
    mib.filter(|mib| *mib > 0).map(|mib| i64::from(mib) << 20)
}

#[cfg(test)]
mod tests;
