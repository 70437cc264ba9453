//! What attackers' tools find: slow clients hold nothing that others need (slowhttptest), and TLS has no weakness above low (testssl).

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use roadstead_tests::http::{self, Url};
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::free_port;
use roadstead_tests::{Process, binaries, eventually};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
/// A whole scan takes less than a minute on a quiet machine.
const SCAN_DEADLINE: Duration = Duration::from_secs(240);
const ATTACKERS: usize = 400;
/// Answers when it has the whole body of a request, however long that takes.
const SERVICE: &str = "const service = require('http').createServer((request, response) => \
    request.on('end', () => response.end('x'.repeat(request.url.length > 1 ? 1 << 20 : 10))).resume()); \
    service.requestTimeout = 0; service.listen(process.argv[2], '127.0.0.1');";

async fn listens(process: &mut Process, port: u16) -> anyhow::Result<()> {
    eventually(DEADLINE, "it listens", async || {
        process.check_running()?;
        Ok(TcpStream::connect(("127.0.0.1", port)).await.ok())
    })
    .await?;
    Ok(())
}

/// Starts a load balancer with this table and these settings.
async fn start(
    folder: &Path,
    port: u16,
    table: &str,
    settings: &[&str],
) -> anyhow::Result<Process> {
    let file = folder.join("table.toml");
    fs::write(&file, table)?;
    let arguments = ["lb", "--bind", "127.0.0.1"].iter().chain(settings);
    let mut arguments: Vec<_> = arguments.map(Into::into).collect();
    arguments.extend(["--table".into(), file.into_os_string()]);
    let mut front = Process::start("lb", &binaries::ctl(), arguments, folder.join("lb.log"))?;
    listens(&mut front, port).await?;
    Ok(front)
}

/// Four hundred slow clients; meanwhile others are served, and afterwards nothing of it is left.
async fn is_held(path: &str, attack: &[&str]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (target, port, metrics) = (free_port()?, free_port()?, free_port()?);
    let service = folder.path().join("service.js");
    fs::write(&service, SERVICE)?;
    let arguments = [service.into_os_string(), target.to_string().into()];
    let log = folder.path().join("service.log");
    let mut origin = Process::start("service", Path::new("node"), arguments, log)?;
    listens(&mut origin, target).await?;
    let table = format!(
        "[[listener]]\nport = {port}\n[[listener.rule]]\nforward = \"origin\"\n\n[[target_group]]\nname = \"origin\"\n\
         targets = [\"127.0.0.1:{target}\"]\nhealth_check = false\n"
    );
    let metrics_at = format!("127.0.0.1:{metrics}");
    let settings = [
        "--client-timeout",
        "3s",
        "--target-timeout",
        "3s",
        "--metrics",
        &metrics_at,
    ];
    let _front = start(folder.path(), port, &table, &settings).await?;
    let url = format!("http://127.0.0.1:{port}/");
    let others = Load::start(Options::new(url.parse::<Url>()?))?;
    others.wait_for_answers(100).await?;
    let (connections, attacked) = (
        ATTACKERS.to_string(),
        format!("http://127.0.0.1:{port}{path}"),
    );
    let attacker = Command::new("slowhttptest")
        .args(attack)
        .args([
            "-c",
            &connections,
            "-r",
            "200",
            "-i",
            "1",
            "-l",
            "12",
            "-p",
            "3",
            "-u",
            &attacked,
        ])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let output = timeout(SCAN_DEADLINE, attacker).await?;
    let output = output.context("slowhttptest is installed by tests/setup.sh test")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        told.contains("service available:"),
        "it did not attack: {told}"
    );
    ensure!(!told.contains("service available:   NO"), "{told}");
    let report = tokio::task::spawn_blocking(|| others.stop()).await?;
    ensure!(report.failed == 0, "{report}");
    let page: Url = format!("http://{metrics_at}/metrics").parse()?;
    eventually(DEADLINE, "every slow connection has ended", async || {
        let page = http::get(&page, DEADLINE).await?;
        let text = page.text();
        let open = text
            .lines()
            .find_map(|line| line.strip_prefix("roadstead_lb_connections "));
        Ok((open == Some("0")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn slow_headers() -> anyhow::Result<()> {
    is_held("/", &["-H"]).await
}

#[tokio::test]
async fn slow_bodies() -> anyhow::Result<()> {
    is_held("/", &["-B", "-s", "8192"]).await
}

#[tokio::test]
async fn slow_readers() -> anyhow::Result<()> {
    is_held(
        "/large",
        &["-X", "-w", "1", "-y", "8", "-z", "1", "-k", "3"],
    )
    .await
}

/// What it says of the certificate, which is ours and made for this test, and of headers, which are the application's.
fn is_not_ours(id: &str) -> bool {
    id.starts_with("cert") || id == "security_headers"
}

#[tokio::test]
async fn tls_has_no_weakness_above_low() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(folder.path().join("own.pem"), made.cert.pem())?;
    fs::write(
        folder.path().join("own.key"),
        made.signing_key.serialize_pem(),
    )?;
    let table = format!(
        "[[certificate]]\nname = \"own\"\nchain = \"own.pem\"\nkey = \"own.key\"\n[[listener]]\nport = {port}\n\
         certificates = [\"own\"]\n[[listener.rule]]\nfixed_response = {{ status = 200, body = \"hello\" }}\n"
    );
    let _front = start(folder.path(), port, &table, &[]).await?;
    let findings = folder.path().join("findings.json");
    let scan = Command::new("testssl")
        .args([
            "--quiet",
            "--color",
            "0",
            "--severity",
            "MEDIUM",
            "--jsonfile",
        ])
        .arg(&findings)
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let output = timeout(SCAN_DEADLINE, scan).await?;
    let output = output.context("testssl is installed by tests/setup.sh test")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        told.contains("Testing vulnerabilities"),
        "it did not scan: {told}"
    );
    let findings: serde_json::Value = serde_json::from_str(&fs::read_to_string(findings)?)?;
    let findings = findings.as_array().context("findings are a list")?;
    let ours = findings
        .iter()
        .filter(|finding| !finding["id"].as_str().is_some_and(is_not_ours));
    let ours: Vec<_> = ours.collect();
    ensure!(ours.is_empty(), "{ours:?}");
    Ok(())
}
