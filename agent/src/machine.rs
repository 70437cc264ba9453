//! What this machine offers to tasks.

use std::collections::HashMap;
use std::num::NonZero;

use roadstead_client::proto::agent::Register;

use crate::config::Config;

const UNITS_PER_CORE: u32 = 1024;

/// Returns how the agent introduces itself: configured values first, the machine's otherwise.
pub(crate) fn register(config: &Config, container_instance_id: &str) -> Register {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(1);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mut attributes = HashMap::from([
        ("ecs.os-type".to_owned(), "linux".to_owned()),
        ("ecs.os-family".to_owned(), "LINUX".to_owned()),
        ("ecs.cpu-architecture".to_owned(), architecture().to_owned()),
    ]);
    attributes.extend(config.attributes.clone());
    let host_name = nix::unistd::gethostname().unwrap_or_default();
    Register {
        cluster: config.cluster.clone(),
        container_instance_id: container_instance_id.to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        host_name: host_name.to_string_lossy().into_owned(),
        address: config.address.to_string(),
        cpu_units: config.cpu_units.unwrap_or(cores * UNITS_PER_CORE),
        memory_mib: config.memory_mib.unwrap_or_else(|| total_mib(&meminfo)),
        reserved_ports: config
            .reserved_ports
            .iter()
            .copied()
            .map(u32::from)
            .collect(),
        attributes: attributes.into_iter().collect(),
    }
}

/// ECS's names of architectures.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// Reads the whole memory from /proc/meminfo (proc(5)), in MiB.
fn total_mib(meminfo: &str) -> u32 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    u32::try_from(kib.unwrap_or(0) / 1024).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mib() {
        assert_eq!(
            total_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"),
            16000
        );
        assert_eq!(total_mib(""), 0);
    }
}
