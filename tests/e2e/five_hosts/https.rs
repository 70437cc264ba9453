//! A certificate that a user brings: on every load balancer, in no log, and replaced while servers fall.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use roadstead_tests::certificate::{Authority, Certificate};
use roadstead_tests::cluster::Role;
use roadstead_tests::web::free_port;
use roadstead_tests::{Hosts, eventually};

use crate::story::{DEADLINE, SERVERS};

const NAME: &str = "shop.example";

/// Asks a load balancer as curl does, which trusts this authority alone; returns what it answers.
fn ask(authority: &Path, address: Ipv4Addr, port: u16) -> anyhow::Result<String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "5", "--cacert"])
        .arg(authority)
        .args(["--resolve", &format!("{NAME}:{port}:{address}")])
        .arg(format!("https://{NAME}:{port}/"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns whether a file below a folder holds the secret.
fn holds(folder: &Path, secret: &str) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let found = if entry.file_type()?.is_dir() {
            holds(&entry.path(), secret)?
        } else if entry.file_type()?.is_file() {
            let bytes = std::fs::read(entry.path())?;
            bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        } else {
            false
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn import(
    hosts: &mut Hosts,
    host: usize,
    certificate: &Certificate,
    folder: &Path,
    more: &[&str],
) -> anyhow::Result<()> {
    let (chain, key) = certificate.write(folder, "new")?;
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let import = [
        "certificate",
        "import",
        "--certificate",
        &chain,
        "--private-key",
        &key,
    ];
    hosts.host(host).ctl(&[&import, more].concat(), "")?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_serves_on_every_load_balancer_and_is_replaced_without_the_leader()
-> anyhow::Result<()> {
    const BALANCERS: [usize; 2] = [1, 2];
    let mut hosts = Hosts::new(3)?;
    hosts.start_control_plane(&SERVERS).await?;
    for host in BALANCERS {
        hosts.start_load_balancer(host).await?;
    }
    let folder = tempfile::tempdir()?;
    let (first, second) = (Authority::new("first")?, Authority::new("second")?);
    let [trusts_first, trusts_second] = ["first", "second"].map(|name| folder.path().join(name));
    first.write(&trusts_first)?;
    second.write(&trusts_second)?;
    let port = free_port()?.to_string();
    let leader = hosts.leader().await?;
    let follower = (leader + 1) % 3;

    // By a follower: whoever is asked can seal.
    import(
        &mut hosts,
        follower,
        &first.issue(&[NAME])?,
        folder.path(),
        &[],
    )?;
    let ctl = |hosts: &mut Hosts, arguments: &[&str]| hosts.host(follower).ctl(arguments, "");
    ctl(&mut hosts, &["load-balancer", "create", "shop"])?;
    let listener = [
        "listener",
        "create",
        "--load-balancer",
        "shop",
        "--port",
        &port,
    ];
    let speaks = [
        "--certificate",
        NAME,
        "--fixed-response",
        "200",
        "--body",
        "open",
    ];
    ctl(&mut hosts, &[listener, speaks].concat())?;
    let port: u16 = port.parse()?;
    for host in BALANCERS {
        let address = hosts.host(host).address();
        eventually(DEADLINE, "the shop", async || {
            Ok((ask(&trusts_first, address, port)? == "open").then_some(()))
        })
        .await?;
    }

    hosts.host(leader).role(Role::Server)?.kill()?;
    let replacement = second.issue(&[NAME, "www.shop.example"])?;
    import(
        &mut hosts,
        follower,
        &replacement,
        folder.path(),
        &["--replace", NAME],
    )?;
    for host in BALANCERS {
        let address = hosts.host(host).address();
        eventually(DEADLINE, "the shop with its new certificate", async || {
            Ok((ask(&trusts_second, address, port)? == "open").then_some(()))
        })
        .await?;
        ensure!(ask(&trusts_first, address, port).is_err());
    }

    // The server that was away has the sealing key again, and no server has a private key to read.
    hosts.host(leader).role(Role::Server)?.start_again()?;
    let key = replacement.private_key.lines().nth(1).unwrap_or_default();
    for host in SERVERS {
        let data = hosts.host(host).data_directory("controlplane");
        eventually(DEADLINE, "the sealing key", async || {
            let keys = std::fs::read_dir(data.join("sealing"))?.count();
            Ok((keys == 1).then_some(()))
        })
        .await?;
        ensure!(
            !holds(&data, key)?,
            "a private key lies open on server {host}"
        );
    }
    let refused = hosts
        .host(follower)
        .ctl(&["certificate", "delete", NAME], "");
    let said = refused
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    ensure!(said.contains("in use"), "{said}");
    hosts.finish().await
}
