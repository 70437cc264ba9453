//! A real registry on loopback, Debian's docker-registry, that wants a user and a password.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;

use crate::http::{Url, get};
use crate::image::Image;
use crate::web::free_port;
use crate::{Process, eventually};

const USER: &str = "puller";
const PASSWORD: &str = "secret";
/// `puller:secret` in base64, as a Docker config file has it.
const USER_AND_PASSWORD: &str = "cHVsbGVyOnNlY3JldA==";
const DEADLINE: Duration = Duration::from_secs(10);

/// A running registry; ends when dropped.
#[derive(Debug)]
pub struct Registry {
    /// `127.0.0.1:PORT`, the first part of the names of its images.
    pub host: String,
    /// A Docker config file with the credentials.
    pub auth_file: PathBuf,
    _process: Process,
}

impl Registry {
    /// Starts a registry with its files below `directory`, and checks that it refuses the unknown.
    ///
    /// # Errors
    /// Fails when `docker-registry` or `htpasswd` is not installed, or does not come up.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let host = format!("127.0.0.1:{port}");
        let users = directory.join("htpasswd");
        fs::write(&users, bcrypt_line()?)?;
        let auth_file = directory.join("docker-config.json");
        let credentials = json!({"auths": {(host.as_str()): {"auth": USER_AND_PASSWORD}}});
        fs::write(&auth_file, credentials.to_string())?;
        // The registry's configuration is YAML, of which JSON is a part.
        let config = json!({
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": directory.join("registry")}},
            "http": {"addr": host},
            "auth": {"htpasswd": {"realm": "roadstead", "path": users}},
        });
        let config_file = directory.join("registry.yml");
        fs::write(&config_file, config.to_string())?;
        let arguments = [OsStr::new("serve"), config_file.as_os_str()];
        let log = directory.join("registry.log");
        let program = Path::new("/usr/bin/docker-registry");
        let process = Process::start("docker-registry", program, arguments, log)
            .context("`tests/setup.sh test` installs docker-registry")?;
        eventually(DEADLINE, "the registry to refuse the unknown", async || {
            let answer = get(&Url::local(port, "/v2/"), DEADLINE).await?;
            ensure!(answer.status == 401, "answered with {}", answer.status);
            Ok(Some(()))
        })
        .await?;
        Ok(Self {
            host,
            auth_file,
            _process: process,
        })
    }

    /// Pushes an image under its own name and returns the full one: `127.0.0.1:PORT/NAME`.
    ///
    /// # Errors
    /// Fails when the registry refuses a part.
    pub async fn push(&self, image: &Image) -> anyhow::Result<String> {
        // An error says that another test of this process has installed the same provider.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = Client::new(ClientConfig {
            protocol: ClientProtocol::Http,
            ..ClientConfig::default()
        });
        let name = format!("{}/{}", self.host, image.name);
        let reference: Reference = name.parse()?;
        let layers = [ImageLayer::oci_v1_gzip(image.layer.clone(), None)];
        let config = Config::oci_v1(image.config.clone(), None);
        let auth = RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        client
            .push(&reference, &layers, config, &auth, None)
            .await
            .with_context(|| format!("cannot push {name}"))?;
        Ok(name)
    }
}

/// The registry takes no other hash than bcrypt.
fn bcrypt_line() -> anyhow::Result<Vec<u8>> {
    let made = Command::new("htpasswd")
        .args(["-Bbn", USER, PASSWORD])
        .output()
        .context("cannot run htpasswd; `tests/setup.sh test` installs it")?;
    if !made.status.success() {
        bail!("htpasswd: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(made.stdout)
}
