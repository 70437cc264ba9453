//! CPU, memory and host ports: what instances have and tasks reserve.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Returns `tcp` or `udp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An amount of CPU and memory with a set of host ports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// 1024 units are one vCPU.
    pub cpu_units: u32,
    pub memory_mib: u32,
    pub ports: BTreeSet<(Protocol, u16)>,
}

/// What an instance lacks for a task, in the order in which ECS looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    Cpu,
    Memory,
    Ports,
}

impl Resources {
    /// Returns the first resource in which `needed` does not fit beside `self` into `total`.
    #[must_use]
    pub fn lack(&self, total: &Self, needed: &Self) -> Option<Lack> {
        if self.cpu_units.saturating_add(needed.cpu_units) > total.cpu_units {
            Some(Lack::Cpu)
        } else if self.memory_mib.saturating_add(needed.memory_mib) > total.memory_mib {
            Some(Lack::Memory)
        } else if needed
            .ports
            .iter()
            .any(|port| self.ports.contains(port) || total.ports.contains(port))
        {
            // An instance's own set names the ports that are reserved on it for other use.
            Some(Lack::Ports)
        } else {
            None
        }
    }

    /// Adds what a placed task reserves.
    pub fn reserve(&mut self, needed: &Self) {
        self.cpu_units = self.cpu_units.saturating_add(needed.cpu_units);
        self.memory_mib = self.memory_mib.saturating_add(needed.memory_mib);
        self.ports.extend(&needed.ports);
    }

    /// Gives back what a stopped task had reserved.
    pub fn release(&mut self, reserved: &Self) {
        self.cpu_units = self.cpu_units.saturating_sub(reserved.cpu_units);
        self.memory_mib = self.memory_mib.saturating_sub(reserved.memory_mib);
        self.ports.retain(|port| !reserved.ports.contains(port));
    }
}
