//! Interfaces, by netlink: the bridge, and a veth pair for each container.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::{
    Error, Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use sha2::{Digest, Sha256};

use super::NetworkError;
use super::namespace::Namespace;
use crate::runtime::ContainerId;
use crate::subnet::Subnet;

/// What a container sees.
const CONTAINER_END: &str = "eth0";

/// A netlink socket in the machine's own namespace.
pub(super) struct Links {
    handle: Handle,
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Links")
    }
}

/// Returns the name of the machine's end of a container's veth pair: at most 15 bytes, so a hash.
pub(super) fn host_end(bridge: &str, id: &ContainerId) -> String {
    let hash = Sha256::digest(format!("{bridge}/{id}"));
    let [a, b, c, d, e, f, ..] = hash[..] else {
        unreachable!("a SHA-256 hash has 32 bytes");
    };
    format!("rs{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

/// Returns the hardware address for an IP address, so that a neighbour's old entry stays true when an
/// address is used again. The first byte says that it is administered locally.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = address.octets();
    vec![0x02, 0x52, a, b, c, d]
}

fn failed(operation: &'static str) -> impl FnOnce(Error) -> NetworkError {
    move |cause| NetworkError::Netlink { operation, cause }
}

fn has_errno(error: &Error, errno: nix::errno::Errno) -> bool {
    matches!(error, Error::NetlinkError(message) if message.raw_code() == -(errno as i32))
}

impl Links {
    pub(super) fn new() -> Result<Self, NetworkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetworkError::Socket)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Makes a bridge be there and up, with the subnet's gateway address.
    pub(super) async fn bridge(&self, name: &str, subnet: Subnet) -> Result<(), NetworkError> {
        // An address of its own, so that it does not change with the ports that come and go.
        let bridge = LinkBridge::new(name)
            .address(hardware_address(subnet.gateway()))
            .up()
            .build();
        let added = self.handle.link().add(bridge).execute().await;
        match added {
            Err(error) if has_errno(&error, nix::errno::Errno::EEXIST) => {
                let up = LinkUnspec::new_with_name(name).up().build();
                let up = self.handle.link().set(up).execute().await;
                up.map_err(failed("raise the bridge"))?;
            }
            other => other.map_err(failed("create the bridge"))?,
        }
        let index = self.index(name).await?;
        let index = index.ok_or_else(|| NetworkError::NoBridge(name.to_owned()))?;
        self.handle
            .address()
            .add(index, subnet.gateway().into(), subnet.prefix())
            .replace()
            .execute()
            .await
            .map_err(failed("give the bridge its address"))
    }

    /// Connects a namespace to the bridge, with an address and a way out.
    pub(super) async fn connect(
        &self,
        bridge: &str,
        host_end: &str,
        namespace: &Namespace,
        address: Ipv4Addr,
        subnet: Subnet,
    ) -> Result<(), NetworkError> {
        let bridge_index = self.index(bridge).await?;
        let bridge_index = bridge_index.ok_or_else(|| NetworkError::NoBridge(bridge.to_owned()))?;
        let peer = LinkMessageBuilder::<LinkUnspec>::default()
            .name(CONTAINER_END)
            .address(hardware_address(address))
            .append_extra_attribute(LinkAttribute::NetNsFd(namespace.file.as_raw_fd()))
            .build();
        let pair = LinkMessageBuilder::<LinkVeth>::new(host_end, CONTAINER_END)
            .controller(bridge_index)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .up()
            .build();
        self.handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(failed("create a veth pair"))?;
        configure(&namespace.inside, address, subnet).await
    }

    /// Deletes an interface; one that is not there is a success.
    pub(super) async fn delete(&self, name: &str) -> Result<(), NetworkError> {
        let message = LinkUnspec::new_with_name(name).build();
        match self.handle.link().del_with_message(message).execute().await {
            Err(error) if has_errno(&error, nix::errno::Errno::ENODEV) => Ok(()),
            other => other.map_err(failed("delete an interface")),
        }
    }

    async fn index(&self, name: &str) -> Result<Option<u32>, NetworkError> {
        index(&self.handle, name).await
    }
}

async fn index(handle: &Handle, name: &str) -> Result<Option<u32>, NetworkError> {
    let mut links = handle.link().get().match_name(name).execute().boxed();
    match links.try_next().await {
        Ok(link) => Ok(link.map(|link| link.header.index)),
        Err(error) if has_errno(&error, nix::errno::Errno::ENODEV) => Ok(None),
        Err(error) => Err(failed("look up an interface")(error)),
    }
}

/// Sets up a new namespace from inside.
async fn configure(inside: &Handle, address: Ipv4Addr, subnet: Subnet) -> Result<(), NetworkError> {
    let loopback = LinkUnspec::new_with_name("lo").up().build();
    let loopback = inside.link().set(loopback).execute().await;
    loopback.map_err(failed("raise the loopback interface"))?;
    let index = index(inside, CONTAINER_END).await?;
    let index = index.ok_or_else(|| NetworkError::NoBridge(CONTAINER_END.to_owned()))?;
    // Not at its creation: a veth interface cannot be up before it knows its peer.
    let up = LinkUnspec::new_with_index(index).up().build();
    let up = inside.link().set(up).execute().await;
    up.map_err(failed("raise a container's interface"))?;
    inside
        .address()
        .add(index, address.into(), subnet.prefix())
        .execute()
        .await
        .map_err(failed("give a container its address"))?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .gateway(subnet.gateway())
        .build();
    let route = inside.route().add(route).execute().await;
    route.map_err(failed("give a container its route"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    #[test]
    fn names_of_interfaces_fit_the_kernel_and_differ() {
        let id = |index| ContainerId::new(&TaskId::parse("a1").unwrap(), index);
        let one = host_end("roadstead0", &id(0));
        assert_eq!(one.len(), 14);
        assert_ne!(one, host_end("roadstead0", &id(1)));
        assert_ne!(one, host_end("other0", &id(0)));
    }
}
