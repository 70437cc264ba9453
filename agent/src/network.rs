//! The network of containers in mode `bridge`: a bridge, a pair of interfaces and a namespace for each
//! container, and one map element of nftables for each host port.
//!
//! Netlink and one `nft` per change, no CNI plugins: those cost more than starting the container does.
//! Everything is named after the agent or the container, so attaching again or detaching twice is fine.

mod firewall;
mod link;
mod namespace;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::config::Config;
use crate::reason::chain;
use crate::runtime::ContainerId;
use crate::subnet::Subnet;
use crate::task::{Attachment, Protocol};
use firewall::Firewall;
use link::Links;

/// Why the network is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("cannot {operation}")]
    Netlink {
        operation: &'static str,
        #[source]
        cause: rtnetlink::Error,
    },
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
    #[error("cannot {operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot run nft")]
    Nft(#[source] io::Error),
    #[error("nft refused: {0}")]
    NftRefused(String),
    #[error("nft did not answer in time")]
    NftSilent,
    #[error("bridge {0} is not there")]
    NoBridge(String),
}

/// The bridge network of one agent.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    subnet: Subnet,
    namespaces: PathBuf,
    links: Links,
    firewall: Firewall,
}

impl Network {
    /// Returns the network of an agent; nothing is changed yet.
    ///
    /// # Errors
    /// Fails when the kernel gives no netlink socket.
    pub fn new(config: &Config) -> Result<Self, NetworkError> {
        Ok(Self {
            bridge: config.bridge(),
            subnet: config.subnet,
            namespaces: config.run_dir().join("netns"),
            links: Links::new()?,
            firewall: Firewall::new(config),
        })
    }

    /// Makes bridge and rules be there, with the ports of exactly these containers, and removes the
    /// namespaces of all others.
    ///
    /// # Errors
    /// Fails when the kernel refuses something.
    pub async fn restore(
        &self,
        attached: &BTreeMap<ContainerId, Attachment>,
    ) -> Result<(), NetworkError> {
        self.links.bridge(&self.bridge, self.subnet).await?;
        self.firewall.restore(attached.values()).await?;
        write("/proc/sys/net/ipv4/ip_forward", "1")?;
        // Lets 127.0.0.1 reach a container's port by a host port. The firewall, which is up, keeps
        // containers from using it the other way.
        let localnet = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.bridge);
        write(&localnet, "1")?;
        for name in self.namespace_names()? {
            let kept = ContainerId::parse(&name).is_some_and(|id| attached.contains_key(&id));
            if !kept {
                self.remove_namespace(&name).await;
            }
        }
        Ok(())
    }

    /// Returns where a container's namespace is held.
    #[must_use]
    pub fn path(&self, id: &ContainerId) -> PathBuf {
        self.namespaces.join(id.to_string())
    }

    /// Gives a container a namespace with its address, and opens its host ports.
    ///
    /// # Errors
    /// Fails when the kernel refuses something; `detach` clears what is left.
    pub async fn attach(
        &self,
        id: &ContainerId,
        address: Ipv4Addr,
        attachment: &Attachment,
    ) -> Result<(), NetworkError> {
        let path = self.path(id);
        if path.exists() {
            // Left by a launch that was cut short.
            self.detach(id, attachment).await?;
        }
        let (namespace, ()) = tokio::try_join!(
            namespace::create(&path),
            self.firewall.open(address, &attachment.bindings)
        )?;
        let host_end = link::host_end(&self.bridge, id);
        self.links
            .connect(&self.bridge, &host_end, &namespace, address, self.subnet)
            .await
    }

    /// Closes a container's host ports and removes its namespace. Nothing left to do is a success.
    ///
    /// # Errors
    /// Fails when the kernel refuses something.
    pub async fn detach(
        &self,
        id: &ContainerId,
        attachment: &Attachment,
    ) -> Result<(), NetworkError> {
        // Ports first: a client is then refused, instead of waiting for an address that is gone.
        self.firewall.close(&attachment.bindings).await?;
        self.links.delete(&link::host_end(&self.bridge, id)).await?;
        namespace::remove(&self.path(id))
    }

    /// Removes everything that carries the agent's name.
    ///
    /// # Errors
    /// Fails when the kernel refuses something.
    pub async fn remove(&self) -> Result<(), NetworkError> {
        self.firewall.remove().await?;
        for name in self.namespace_names()? {
            self.remove_namespace(&name).await;
        }
        self.links.delete(&self.bridge).await
    }

    async fn remove_namespace(&self, name: &str) {
        if let Some(id) = ContainerId::parse(name)
            && let Err(error) = self.links.delete(&link::host_end(&self.bridge, &id)).await
        {
            warn!(
                container = name,
                error = chain(&error),
                "an interface stays behind"
            );
        }
        if let Err(error) = namespace::remove(&self.namespaces.join(name)) {
            warn!(
                container = name,
                error = chain(&error),
                "a network namespace stays behind"
            );
        }
    }

    fn namespace_names(&self) -> Result<Vec<String>, NetworkError> {
        let error = |cause| NetworkError::File {
            operation: "read",
            path: self.namespaces.clone(),
            cause,
        };
        let entries = match std::fs::read_dir(&self.namespaces) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(error(cause)),
        };
        entries
            .map(|entry| {
                Ok(entry
                    .map_err(error)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned())
            })
            .collect()
    }
}

/// Tells whether nothing on this machine listens on a port.
#[must_use]
pub(crate) fn is_free(protocol: Protocol, port: u16) -> bool {
    let any = (Ipv4Addr::UNSPECIFIED, port);
    match protocol {
        Protocol::Tcp => TcpListener::bind(any).is_ok(),
        Protocol::Udp => UdpSocket::bind(any).is_ok(),
    }
}

fn write(path: &str, text: &str) -> Result<(), NetworkError> {
    std::fs::write(path, text).map_err(|cause| NetworkError::File {
        operation: "write",
        path: Path::new(path).to_owned(),
        cause,
    })
}
