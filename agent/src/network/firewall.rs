//! Host ports, by nftables: one table for the agent, one map element for each port.
//!
//! The maps turn a host port into a container's address and port, for what comes from outside and
//! for local clients, also on 127.0.0.1. A change is one element; rules are written once at the start.
//! What lets 127.0.0.1 reach a container must not let a container reach 127.0.0.1 (CVE-2020-8558): that
//! is dropped before anything else looks at it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::NetworkError;
use crate::config::Config;
use crate::task::{Attachment, Binding, Protocol};

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Firewall {
    table: String,
    bridge: String,
    subnet: String,
    /// One `nft` at a time: they would only wait for each other in the kernel.
    turn: Mutex<()>,
}

impl Firewall {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            // Not the name alone: that could be a keyword of nft.
            table: format!("{}-agent", config.name),
            bridge: config.bridge(),
            subnet: config.subnet.to_string(),
            turn: Mutex::new(()),
        }
    }

    /// Makes the table be there with exactly these ports, in one transaction.
    pub(super) async fn restore(
        &self,
        attached: impl Iterator<Item = &Attachment>,
    ) -> Result<(), NetworkError> {
        let mut script = rules(&self.table, &self.bridge, &self.subnet);
        for attachment in attached {
            if let Some(address) = attachment.address {
                script.push_str(&opening(&self.table, address, &attachment.bindings));
            }
        }
        self.apply(script).await
    }

    pub(super) async fn open(
        &self,
        address: Ipv4Addr,
        bindings: &[Binding],
    ) -> Result<(), NetworkError> {
        if bindings.is_empty() {
            return Ok(());
        }
        self.apply(opening(&self.table, address, bindings)).await
    }

    /// Closes ports; closed ones are a success.
    pub(super) async fn close(&self, bindings: &[Binding]) -> Result<(), NetworkError> {
        for binding in bindings {
            match self.apply(closing(&self.table, binding)).await {
                Err(NetworkError::NftRefused(text)) if text.contains("No such file") => {}
                other => other?,
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&self) -> Result<(), NetworkError> {
        // Added first, so that deleting it cannot fail.
        let table = &self.table;
        self.apply(format!("add table ip {table}\ndelete table ip {table}\n"))
            .await
    }

    async fn apply(&self, script: String) -> Result<(), NetworkError> {
        let _turn = self.turn.lock().await;
        let mut nft = Command::new("nft")
            .args(["-f", "-"])
            // Its refusals are told apart by their text.
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(NetworkError::Nft)?;
        let run = async {
            if let Some(mut input) = nft.stdin.take() {
                input.write_all(script.as_bytes()).await?;
            }
            nft.wait_with_output().await
        };
        let output = timeout(DEADLINE, run)
            .await
            .map_err(|_| NetworkError::NftSilent)?
            .map_err(NetworkError::Nft)?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let first = text.lines().next().unwrap_or_default();
        Err(NetworkError::NftRefused(first.to_owned()))
    }
}

/// Returns the table without ports. Chains are flushed and filled in one transaction, so a running
/// table is replaced without a gap.
fn rules(table: &str, bridge: &str, subnet: &str) -> String {
    let translate = "fib daddr type local dnat ip to tcp dport map @tcp_ports
        fib daddr type local dnat ip to udp dport map @udp_ports";
    format!(
        "add table ip {table}
add map ip {table} tcp_ports {{ type inet_service : ipv4_addr . inet_service; }}
add map ip {table} udp_ports {{ type inet_service : ipv4_addr . inet_service; }}
flush map ip {table} tcp_ports
flush map ip {table} udp_ports
add chain ip {table} guard {{ type filter hook prerouting priority raw; }}
add chain ip {table} incoming {{ type nat hook prerouting priority dstnat; }}
add chain ip {table} local {{ type nat hook output priority -100; }}
add chain ip {table} outgoing {{ type nat hook postrouting priority srcnat; }}
flush chain ip {table} guard
flush chain ip {table} incoming
flush chain ip {table} local
flush chain ip {table} outgoing
table ip {table} {{
    chain guard {{
        iifname \"{bridge}\" ip daddr 127.0.0.0/8 drop
    }}
    chain incoming {{
        {translate}
    }}
    chain local {{
        {translate}
    }}
    chain outgoing {{
        ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade
        ip saddr {subnet} oifname != \"{bridge}\" masquerade
        ip saddr {subnet} oifname \"{bridge}\" ct status dnat masquerade
    }}
}}
"
    )
}

fn opening(table: &str, address: Ipv4Addr, bindings: &[Binding]) -> String {
    let mut script = String::new();
    for binding in bindings {
        let map = map(binding);
        let (from, to) = (binding.host_port, binding.container_port);
        // Writing to a string cannot fail.
        let _ = writeln!(
            script,
            "add element ip {table} {map} {{ {from} : {address} . {to} }}"
        );
    }
    script
}

fn closing(table: &str, binding: &Binding) -> String {
    let map = map(binding);
    format!(
        "delete element ip {table} {map} {{ {} }}\n",
        binding.host_port
    )
}

fn map(binding: &Binding) -> &'static str {
    match binding.protocol {
        Protocol::Tcp => "tcp_ports",
        Protocol::Udp => "udp_ports",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_element_of_its_protocol_s_map() {
        let binding = Binding {
            protocol: Protocol::Udp,
            container_port: 53,
            host_port: 5353,
        };
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert_eq!(
            opening("x", address, &[binding]),
            "add element ip x udp_ports { 5353 : 10.0.0.2 . 53 }\n"
        );
        assert_eq!(
            closing("x", &binding),
            "delete element ip x udp_ports { 5353 }\n"
        );
    }
}
