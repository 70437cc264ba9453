//! Looks for anything that an agent has left on the machine.

use std::fs;
use std::process::Command;

use roadstead_agent::Config;

pub(crate) fn assert_none(config: &Config) {
    let name = &config.name;
    assert!(!config.data_dir.exists(), "the data directory is left");
    assert!(
        !fs::exists(format!("/run/{name}-agent")).unwrap(),
        "the run directory is left"
    );
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(name.as_str()), "mounts are left: {mounts}");
    let links = output("ip", &["link"]);
    assert!(!links.contains(name.as_str()), "a bridge is left: {links}");
    let bridge_ports = output("ip", &["-d", "link", "show", "type", "veth"]);
    assert!(
        !bridge_ports.contains(&format!("master {name}")),
        "interfaces are left"
    );
    let tables = output("nft", &["list", "tables"]);
    assert!(!tables.contains(name.as_str()), "a table is left: {tables}");
    for hierarchy in ["memory/", "cpu/", "pids/", "systemd/", "unified/", ""] {
        let group = format!("/sys/fs/cgroup/{hierarchy}{name}");
        assert!(!fs::exists(&group).unwrap(), "{group} is left");
    }
    let data_dir = config.data_dir.to_string_lossy().into_owned();
    let processes = output("ps", &["-eo", "args"]);
    let left = processes
        .lines()
        .filter(|line| line.contains(&data_dir) || line.contains(&format!("namespace {name}")));
    let left: Vec<&str> = left.collect();
    assert!(left.is_empty(), "processes are left: {left:#?}");
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    String::from_utf8_lossy(&output.expect("the program is installed").stdout).into_owned()
}
