//! An image made on the spot: a static busybox and a user, as an archive with an OCI layout.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 14] = [
    "sh", "httpd", "sleep", "echo", "cat", "id", "true", "false", "hostname", "nc", "kill", "tail",
    "dd", "rm",
];

/// Writes an archive with one image.
pub(crate) fn archive(path: &Path, name: &str) {
    archive_with(path, name, 1);
}

/// Writes an archive with one image, which consists of so many times the same layer.
pub(crate) fn archive_with(path: &Path, name: &str, layers: usize) {
    let layer = layer(name);
    let diff_id = digest(&layer);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&layer).unwrap();
    let layer = gzip.finish().unwrap();
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"Env":["FROM_IMAGE=yes"],"Cmd":["sleep","600"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        },
        vec![format!("\"{diff_id}\""); layers].join(",")
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        descriptor("image.config.v1+json", config.as_bytes(), ""),
        vec![descriptor("image.layer.v1.tar+gzip", &layer, ""); layers].join(",")
    );
    let annotation = format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#);
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        descriptor("image.manifest.v1+json", manifest.as_bytes(), &annotation)
    );
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
    add(&mut archive, "oci-layout", layout.as_bytes(), 0o644);
    add(&mut archive, "index.json", index.as_bytes(), 0o644);
    for blob in [config.as_bytes(), manifest.as_bytes(), &layer] {
        let name = format!("blobs/{}", digest(blob).replace(':', "/"));
        add(&mut archive, &name, blob, 0o644);
    }
    archive.finish().unwrap();
}

fn layer(name: &str) -> Vec<u8> {
    let busybox = std::fs::read(BUSYBOX);
    let busybox = busybox.expect("/bin/busybox is there: apt install busybox-static");
    let mut layer = tar::Builder::new(Vec::new());
    for directory in ["bin/", "etc/", "tmp/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        layer
            .append_data(&mut header, directory, std::io::empty())
            .unwrap();
    }
    add(&mut layer, "bin/busybox", &busybox, 0o755);
    for applet in APPLETS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        layer
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .unwrap();
    }
    let passwd = b"root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\n";
    add(&mut layer, "etc/passwd", passwd, 0o644);
    // Images with different names have different contents.
    add(&mut layer, "etc/image", name.as_bytes(), 0o644);
    layer.into_inner().unwrap()
}

fn add<W: Write>(archive: &mut tar::Builder<W>, name: &str, bytes: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, name, bytes).unwrap();
}

fn descriptor(kind: &str, bytes: &[u8], more: &str) -> String {
    let (digest, size) = (digest(bytes), bytes.len());
    format!(
        r#"{{"mediaType":"application/vnd.oci.{kind}","digest":"{digest}","size":{size}{more}}}"#
    )
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}
