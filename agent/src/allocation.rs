//! Chooses addresses and host ports for containers.
//!
//! What is taken follows from the tasks' records, so it survives the agent. Addresses and dynamic
//! ports go round: the one given back last is used again last, when nobody speaks to it any more.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use roadstead_client::proto::ecs::PortMapping;

use crate::subnet::Subnet;
use crate::task::{Attachment, Binding, NetworkMode, Phase, Protocol, Task};

/// What containers have that are not released yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<(Protocol, u16)>,
}

impl Taken {
    /// Returns what the containers of these tasks have.
    pub(crate) fn by<'a>(tasks: impl Iterator<Item = &'a Task>) -> Self {
        let mut taken = Self::default();
        for container in tasks.flat_map(|task| &task.containers) {
            let network = container.network.as_ref();
            let Some(network) = network.filter(|_| container.phase < Phase::Released) else {
                continue;
            };
            taken.addresses.extend(network.address);
            let ports = network.bindings.iter();
            taken.ports.extend(ports.map(|b| (b.protocol, b.host_port)));
        }
        taken
    }
}

/// Why a container gets no place in the network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AllocationError {
    /// Worth another attempt: the port is about to be given back.
    #[error("host port {0} belongs to a container that is being removed")]
    Held(u16),
    #[error("host port {0} is already in use on this machine")]
    InUse(u16),
    #[error("port mapping of container port `{0}` with protocol `{1}` is not valid")]
    Invalid(i32, String),
    #[error("every dynamic host port is in use")]
    NoPort,
    #[error("every address of subnet {0} is in use")]
    NoAddress(Subnet),
}

/// Where addresses and ports come from.
#[derive(Debug)]
pub(crate) struct Pool {
    subnet: Subnet,
    dynamic_ports: RangeInclusive<u16>,
    reserved_ports: BTreeSet<u16>,
    next_address: u32,
    next_port: u16,
}

impl Pool {
    /// Returns a pool that begins at `seed`, so that a new agent does not repeat the last one's choices.
    #[must_use]
    pub(crate) fn new(
        subnet: Subnet,
        dynamic_ports: RangeInclusive<u16>,
        reserved_ports: &[u16],
        seed: u16,
    ) -> Self {
        let size = u32::from(dynamic_ports.end() - dynamic_ports.start()) + 1;
        let offset = u16::try_from(u32::from(seed) % size).unwrap_or(0);
        Self {
            subnet,
            next_port: dynamic_ports.start() + offset,
            dynamic_ports,
            reserved_ports: reserved_ports.iter().copied().collect(),
            next_address: seed.into(),
        }
    }

    /// Returns a place for a container; `is_free` tells whether nobody else on the machine has a port.
    ///
    /// # Errors
    /// Fails when a port or an address cannot be had.
    pub(crate) fn attach(
        &mut self,
        mode: NetworkMode,
        mappings: &[PortMapping],
        taken: &Taken,
        is_free: impl Fn(Protocol, u16) -> bool,
    ) -> Result<Attachment, AllocationError> {
        let mut attachment = Attachment::default();
        for mapping in mappings {
            let (protocol, container_port, host_port) = parse(mapping)?;
            let host_port = match mode {
                NetworkMode::Host => container_port,
                NetworkMode::Bridge if host_port != 0 => {
                    if taken.ports.contains(&(protocol, host_port)) {
                        return Err(AllocationError::Held(host_port));
                    }
                    if !is_free(protocol, host_port) {
                        return Err(AllocationError::InUse(host_port));
                    }
                    host_port
                }
                NetworkMode::Bridge => {
                    let chosen = &attachment.bindings;
                    self.dynamic_port(|port| {
                        !taken.ports.contains(&(protocol, port))
                            && !chosen.iter().any(|b| b.host_port == port)
                            && is_free(protocol, port)
                    })?
                }
            };
            attachment.bindings.push(Binding {
                protocol,
                container_port,
                host_port,
            });
        }
        if mode == NetworkMode::Bridge {
            attachment.address = Some(self.address(taken)?);
        }
        Ok(attachment)
    }

    fn address(&mut self, taken: &Taken) -> Result<Ipv4Addr, AllocationError> {
        for _ in 0..self.subnet.size() {
            let address = self.subnet.address(self.next_address);
            self.next_address = self.next_address.wrapping_add(1);
            if !taken.addresses.contains(&address) {
                return Ok(address);
            }
        }
        Err(AllocationError::NoAddress(self.subnet))
    }

    fn dynamic_port(&mut self, usable: impl Fn(u16) -> bool) -> Result<u16, AllocationError> {
        for _ in self.dynamic_ports.clone() {
            let port = self.next_port;
            self.next_port = if port == *self.dynamic_ports.end() {
                *self.dynamic_ports.start()
            } else {
                port + 1
            };
            if !self.reserved_ports.contains(&port) && usable(port) {
                return Ok(port);
            }
        }
        Err(AllocationError::NoPort)
    }
}

fn parse(mapping: &PortMapping) -> Result<(Protocol, u16, u16), AllocationError> {
    let protocol = match mapping.protocol.as_deref() {
        None | Some("" | "tcp") => Some(Protocol::Tcp),
        Some("udp") => Some(Protocol::Udp),
        Some(_) => None,
    };
    let container_port = mapping.container_port.unwrap_or(0);
    let port = |value| u16::try_from(value).ok();
    let sound = protocol
        .zip(port(container_port).filter(|port| *port != 0))
        .zip(port(mapping.host_port.unwrap_or(0)));
    match sound {
        Some(((protocol, container_port), host_port)) => Ok((protocol, container_port, host_port)),
        None => Err(AllocationError::Invalid(
            container_port,
            mapping.protocol.clone().unwrap_or_default(),
        )),
    }
}

#[cfg(test)]
mod tests;
