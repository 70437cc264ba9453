//! What listens on the machine's 127.0.0.1 is out of reach for containers.

use std::net::TcpListener;
use std::process::Command;

use crate::instance::{Instance, get, until};
use crate::tasks::{container, id, task, web};

#[tokio::test]
async fn a_container_does_not_reach_what_listens_on_the_machines_loopback() {
    let instance = Instance::start().await;
    let attacker = container("one", "sleep 600");
    let tasks = vec![task(1, vec![attacker]), task(2, vec![web()])];
    instance.control_plane.desire(tasks);
    instance.control_plane.status(&id(1), "RUNNING").await;
    let web = instance.control_plane.status(&id(2), "RUNNING").await;
    // What the guard is for works: a container's port is reached by 127.0.0.1.
    let port = web.containers[0].port_bindings[0].host_port;
    until("reached", || get("127.0.0.1", port).is_some()).await;

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let table = format!("{}-agent", instance.config.name);
    assert!(!reaches(&instance, port, &listener), "nobody stopped it");
    // Without the guard the same attempt succeeds, so it was the guard that stopped it.
    run("nft", &["flush", "chain", "ip", &table, "guard"]);
    assert!(reaches(&instance, port, &listener), "the attempt is void");
    instance.remove().await;
}

/// Tries from the namespace of a container, with all that a container with CAP_NET_RAW could forge.
fn reaches(instance: &Instance, port: u16, listener: &TcpListener) -> bool {
    let namespace = format!(
        "--net=/run/{}-agent/netns/{}-0",
        instance.config.name,
        id(1)
    );
    let script = format!(
        "link=$(ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/')
        gateway=$(ip -o route show default | sed 's/.* via \\([^ ]*\\).*/\\1/')
        echo 1 > /proc/sys/net/ipv4/conf/$link/route_localnet
        ip address delete 127.0.0.1/8 dev lo
        ip route replace 127.0.0.1 via $gateway dev $link
        timeout 2 busybox nc 127.0.0.1 {port} < /dev/null"
    );
    run("nsenter", &[&namespace, "sh", "-c", &script]);
    listener.accept().is_ok()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    eprintln!("{program}: {}: {text}", output.status);
}
