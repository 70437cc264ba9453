//! What is mounted in a container besides its image.

use oci_spec::runtime::{Mount, MountBuilder};

use super::{Ingredients, SpecError};

/// Destination, type, source, options.
const SYSTEM: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["ro", "nosuid", "noexec", "nodev"],
    ),
];

/// Files that say who and where the container is.
pub(in super::super) const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

pub(super) fn mounts(of: &Ingredients) -> Result<Vec<Mount>, SpecError> {
    let mut mounts = Vec::with_capacity(SYSTEM.len() + FILES.len());
    for (destination, kind, source, options) in SYSTEM {
        // A namespace of the machine's cannot be mounted from below; the machine's view can be shown.
        let (kind, source, options) = if destination == "/sys" && of.network.is_none() {
            ("none", "/sys", &["rbind", "ro"][..])
        } else {
            (kind, source, options)
        };
        let mount = MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(source)
            .options(owned(options));
        mounts.push(mount.build()?);
    }
    for file in FILES {
        let mount = MountBuilder::default()
            .destination(format!("/etc/{file}"))
            .typ("bind")
            .source(of.files.join(file))
            .options(owned(&["rbind", "rprivate", "rw"]));
        mounts.push(mount.build()?);
    }
    Ok(mounts)
}

fn owned(options: &[&str]) -> Vec<String> {
    options.iter().map(|option| (*option).to_owned()).collect()
}
