//! What attackers' tools find: slow clients hold nothing that others need (slowhttptest), and TLS has no weakness above low (testssl).

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use roadstead_tests::http::Url;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::free_port;
use roadstead_tests::{Process, eventually, front};
use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
/// A whole scan takes less than a minute on a quiet machine.
const SCAN_DEADLINE: Duration = Duration::from_secs(240);
const ATTACKERS: usize = 400;
/// So long attackers hold on; a load balancer that let them would have them all until then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers when it has the whole body of a request, however long that takes.
const SERVICE: &str = "const [large, small] = [1 << 20, 10].map((size) => Buffer.alloc(size, 'x')); \
    const service = require('http').createServer((request, response) => \
    request.on('end', () => response.end(request.url.length > 1 ? large : small)).resume()); \
    service.requestTimeout = 0; service.listen(process.argv[2], '127.0.0.1');";

/// Slow clients come; meanwhile others are served, and the slow ones lose their connections long before they give up.
async fn is_held(path: &str, attack: &[&str]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (target, port, metrics) = (free_port()?, free_port()?, free_port()?);
    let service = folder.path().join("service.js");
    fs::write(&service, SERVICE)?;
    let arguments = [service.into_os_string(), target.to_string().into()];
    let log = folder.path().join("service.log");
    let mut origin = Process::start("service", Path::new("node"), arguments, log)?;
    front::listening(&mut origin, target).await?;
    let metrics_at = format!("127.0.0.1:{metrics}");
    let flags = [
        "--client-timeout",
        "3s",
        // Of a service that gives attackers all that they ask for, on a machine that has other things to do.
        "--target-timeout",
        "5s",
        "--metrics",
        &metrics_at,
    ];
    let table = front::table(port, target);
    let _front = front::start(folder.path(), port, &table, &flags).await?;
    let url = format!("http://127.0.0.1:{port}/");
    let others = Load::start(Options::new(url.parse::<Url>()?))?;
    others.wait_for_answers(100).await?;
    let mut attacker = Command::new("slowhttptest")
        .args(attack)
        .args(["-c", &ATTACKERS.to_string(), "-r", "200", "-i", "1"])
        .args(["-l", &PATIENCE.as_secs().to_string(), "-p", "3"])
        .args(["-u", &format!("http://127.0.0.1:{port}{path}")])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("slowhttptest is installed by tests/setup.sh test")?;
    let page: Url = format!("http://{metrics_at}/metrics").parse()?;
    eventually(DEADLINE, "the attackers are there", async || {
        Ok((front::connections(&page).await? > ATTACKERS / 2).then_some(()))
    })
    .await?;
    eventually(PATIENCE, "they have lost their connections", async || {
        // Those of the others are fewer.
        Ok((front::connections(&page).await? < ATTACKERS / 4).then_some(()))
    })
    .await?;
    attacker.kill().await?;
    let report = tokio::task::spawn_blocking(|| others.stop()).await?;
    ensure!(report.failed == 0, "{report}");
    Ok(())
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

/// A check that a scan may fail to make of any server: its client leaves as soon as the handshake is over, and TLS 1.3
/// sends tickets only after that (RFC 8446 section 4.6.1), so that now and then there is none to resume with.
fn is_a_race_of_the_scanner(id: &str) -> bool {
    id == "sessionresumption_ticket"
}

#[tokio::test]
async fn tls_has_no_weakness_above_low() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let certificate = front::own_certificate(folder.path())?;
    let table = format!(
        "{certificate}[[listener]]\nport = {port}\ncertificates = [\"own\"]\n\
         [[listener.rule]]\nfixed_response = {{ status = 200, body = \"hello\" }}\n"
    );
    let _front = front::start(folder.path(), port, &table, &[]).await?;
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
        // Or it warns that openssl lacks an engine for the ciphers of GOST, where it does.
        .env("NO_ENGINE", "true")
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
    let of = |severities: &[&str]| -> Vec<&serde_json::Value> {
        let known = |finding: &&serde_json::Value| {
            let severity = finding["severity"].as_str();
            severity.is_some_and(|severity| severities.contains(&severity))
        };
        findings.iter().filter(known).collect()
    };
    let mut broken = of(&["WARN", "FATAL"]);
    broken.retain(|finding| !finding["id"].as_str().is_some_and(is_a_race_of_the_scanner));
    ensure!(
        broken.is_empty(),
        "it could not scan everything: {broken:?}"
    );
    let mut ours = of(&["MEDIUM", "HIGH", "CRITICAL"]);
    ours.retain(|finding| !finding["id"].as_str().is_some_and(is_not_ours));
    ensure!(ours.is_empty(), "{ours:?}");
    Ok(())
}
