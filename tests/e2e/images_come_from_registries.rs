//! A real nginx, in an image made from Debian's package, pulled with credentials from a real registry.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use roadstead_tests::image::{Config, Image};
use roadstead_tests::registry::Registry;
use roadstead_tests::web::{self, Web};
use roadstead_tests::{Cluster, http};

#[tokio::test]
async fn nginx_is_pulled_with_credentials_and_serves() -> anyhow::Result<()> {
    let mut cluster = Cluster::control_plane_alone().await?;
    let registry = Registry::start(cluster.directory()).await?;
    let image = registry.push(&nginx(cluster.directory())?).await?;
    let auth_file = registry.auth_file.display().to_string();
    cluster.add_agent(&["--registry-auth", &auth_file]).await?;
    cluster.add_load_balancer(&[]).await?;

    let mut container = web::container(&image, &[]);
    container.memory = Some(64);
    let definition = web::definition(&[container]);
    let web = Web::start_with(&cluster.client, 2, definition).await?;

    let answer = http::get(&web.url, Duration::from_secs(10)).await?;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("Welcome to nginx!"),
        "{}",
        answer.text()
    );
    assert!(answer.headers["server"].to_str()?.starts_with("nginx"));
    drop(registry);
    cluster.finish().await
}

fn nginx(directory: &Path) -> anyhow::Result<Image> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/nginx.sh");
    let root = directory.join("nginx.tar");
    let made = Command::new(script)
        .arg(&root)
        .output()
        .context("cannot run images/nginx.sh")?;
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let config = Config {
        entry_point: vec!["/usr/sbin/nginx".to_owned()],
        command: vec!["-c".to_owned(), "/etc/nginx/roadstead.conf".to_owned()],
        ..Config::default()
    };
    Ok(Image::new("nginx:debian", &fs::read(root)?, &config)?)
}
