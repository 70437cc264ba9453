//! Every example of docs/load-balancer.md does what the page says.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use roadstead_tests::{Cluster, binaries, eventually};

const GUIDE: &str = include_str!("../../docs/load-balancer.md");
/// The ports that it takes on this host.
const PORTS: [&str; 8] = [
    "8000", "8443", "8022", "8444", "8445", "8446", "9464", "9465",
];
const DEADLINE: Duration = Duration::from_secs(30);
/// Begins and ends what a file has.
const FENCE: &str = "```";
/// What any text may stand for.
const ANYTHING: char = '…';

/// A command of the guide, and what it says the command prints.
struct Example {
    command: String,
    printed: Vec<String>,
}

/// Returns the examples: of what is indented, lines that begin with `$`, each with those behind it.
fn examples(guide: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let outside = guide.split(FENCE).step_by(2).flat_map(str::lines);
    for line in outside.filter_map(|line| line.strip_prefix("    ")) {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => examples.push(Example {
                command: command.to_owned(),
                printed: Vec::new(),
            }),
            (None, Some(example)) => example.printed.push(line.to_owned()),
            (None, None) => {}
        }
    }
    examples
}

/// Returns the files: what stands between fences, each under the name behind the language.
fn files(guide: &str) -> impl Iterator<Item = (&str, &str)> {
    let fenced = guide.split(FENCE).skip(1).step_by(2);
    fenced.filter_map(|block| {
        let (first, text) = block.split_once('\n')?;
        let (_language, name) = first.split_once(' ')?;
        Some((name, text))
    })
}

/// Returns whether a line is as the guide has it. How far columns are apart depends on what stands in them.
fn is_as_told(told: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (told, mut rest) = (words(told), words(line));
    let mut parts = told.split(ANYTHING);
    let first = parts.next().unwrap_or_default().trim_end().to_owned();
    if !rest.starts_with(&first) {
        return false;
    }
    rest.drain(..first.len());
    let mut open_end = false;
    for part in parts {
        let part = part.trim();
        open_end = part.is_empty();
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest.drain(..at + part.len());
    }
    open_end || rest.is_empty()
}

/// Runs a command as a reader would; returns its standard output.
fn run(cluster: &Cluster, folder: &Path, command: &str) -> anyhow::Result<String> {
    let ctl = binaries::ctl();
    let path = ctl.parent().context("ctl is in a folder")?.display();
    let path = format!("{path}:{}", std::env::var("PATH")?);
    // Debian's own Python has the library for WebSockets.
    let command = command.replacen("python3 ", "/usr/bin/python3 ", 1);
    let output = Command::new("bash")
        .args(["-c", &command])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env(
            "ROADSTEAD_ENDPOINT",
            format!("unix:{}", cluster.socket().display()),
        )
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{command}` ended with {}: {said}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn carry_out(cluster: &Cluster, folder: &Path, example: &Example) -> anyhow::Result<()> {
    let compare = |printed: &str| {
        let lines = printed.lines().filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        let told = &example.printed;
        let told: Vec<&String> = told.iter().filter(|line| !line.is_empty()).collect();
        let same = lines.len() >= told.len();
        let mut pairs = told.iter().zip(&lines);
        let same = same && pairs.all(|(told, line)| is_as_told(told, line));
        ensure!(same, "`{}` printed:\n{printed}", example.command);
        Ok(())
    };
    // A look may be repeated until what was changed is in force; a change is made once.
    let looks = [
        "curl ",
        "ctl listener list",
        "ctl target-group list",
        "ctl target-group health",
        "ctl lb top",
        "tail ",
    ];
    if !looks.iter().any(|look| example.command.starts_with(look)) {
        return compare(&run(cluster, folder, &example.command)?);
    }
    eventually(DEADLINE, &example.command, async || {
        compare(&run(cluster, folder, &example.command)?)?;
        Ok(Some(()))
    })
    .await
}

/// Returns the guide with free ports in the place of its own, which may be somebody's on this machine.
fn on_free_ports(guide: &str) -> anyhow::Result<String> {
    let mut changed = guide.to_owned();
    for (number, told) in PORTS.iter().enumerate() {
        changed = changed.replace(told, &mark(number));
    }
    // All of them at once, or two might be the same.
    let listeners = PORTS.map(|_| TcpListener::bind("127.0.0.1:0"));
    for (number, listener) in listeners.into_iter().enumerate() {
        let free = listener?.local_addr()?.port().to_string();
        changed = changed.replace(&mark(number), &free);
    }
    Ok(changed)
}

/// What no port has in it.
fn mark(number: usize) -> String {
    format!("<port {number}>")
}

/// The load balancers that examples start and others end, with their successors. If one of those between fails, they must end too.
struct Alone<'a>(&'a Path);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        for name in ["lb.pid", "small.pid"] {
            let pid = std::fs::read_to_string(self.0.join(name));
            if let Some(pid) = pid.ok().and_then(|text| text.trim().parse().ok()) {
                // They are mostly gone already, if all went well.
                let _gone = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

#[tokio::test]
async fn every_example_of_the_guide_does_what_it_says() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let folder = tempfile::tempdir()?;
    let guide = on_free_ports(GUIDE)?;
    let examples = examples(&guide);
    ensure!(
        examples.len() > 20,
        "only {} examples were found",
        examples.len()
    );
    for (name, text) in files(&guide) {
        std::fs::write(folder.path().join(name), text)?;
    }
    let _alone = Alone(folder.path());
    for example in &examples {
        carry_out(&cluster, folder.path(), example).await?;
    }
    cluster.finish().await
}

#[test]
fn anything_stands_for_anything_and_the_rest_for_itself() {
    for (told, line, same) in [
        ("v1 …", "v1 a1b2", true),
        ("v1 …", "v2 a1b2", false),
        ("a=…; Path=/", "a=1; Max-Age=2; Path=/", true),
        ("a=…; Path=/", "a=1; Path=/x", false),
        ("web   /health  …  x", "web  /health  30s  x", true),
        ("open", "opened", false),
    ] {
        assert_eq!(is_as_told(told, line), same, "{told} on {line}");
    }
}
