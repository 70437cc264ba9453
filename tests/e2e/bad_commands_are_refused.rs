//! A bad command line, file or value is refused by every command: with the exit code that `ctl --help` promises, an
//! error that names what is wrong, and nothing changed.

use std::fs;

use anyhow::{bail, ensure};
use roadstead_tests::Cluster;

const UNKNOWN_ID: &str = "0123456789abcdef0123456789abcdef";

/// The command line, its exit code, and what its error must name.
type Case = (&'static str, i32, &'static str);

/// What the control plane refuses, or what is wrong with a file.
const REFUSED: &[Case] = &[
    ("cluster create not.a.name", 1, "clusterName"),
    ("cluster describe nowhere", 1, "nowhere"),
    ("cluster delete nowhere", 1, "ClusterNotFoundException"),
    (
        "task-definition register --file absent.json",
        1,
        "absent.json",
    ),
    (
        "task-definition register --file unknown-key.json",
        1,
        "unknown field `executionRoleArn`",
    ),
    (
        "task-definition register --file no-image.json",
        1,
        "Container.image",
    ),
    ("task-definition describe nothing", 1, "task definition"),
    ("task-definition deregister nothing", 1, "Revision"),
    ("task-definition list --status SLEEPING", 1, "status"),
    ("task-definition families --status SLEEPING", 1, "status"),
    (
        "service create web --task-definition nothing --desired-count 1",
        1,
        "TaskDefinition",
    ),
    ("service create --file unknown-key.json", 1, "unknown field"),
    (
        "service update nothing --desired-count 1",
        1,
        "Service not found",
    ),
    ("service rollback nothing", 1, "nothing"),
    ("service describe nothing", 1, "nothing"),
    ("service events nothing", 1, "nothing"),
    ("service delete nothing", 1, "ServiceNotFoundException"),
    (
        "service list --cluster nowhere",
        1,
        "ClusterNotFoundException",
    ),
    ("task run --task-definition nothing", 1, "TaskDefinition"),
    ("task stop 0123456789abcdef0123456789abcdef", 1, "task"),
    (
        "task describe 0123456789abcdef0123456789abcdef",
        1,
        UNKNOWN_ID,
    ),
    ("task logs 0123456789abcdef0123456789abcdef", 1, "task"),
    ("task list --service nothing", 1, "ServiceNotFoundException"),
    ("instance list --status SLEEPING", 1, "status"),
    (
        "instance describe 0123456789abcdef0123456789abcdef",
        1,
        UNKNOWN_ID,
    ),
    (
        "instance drain 0123456789abcdef0123456789abcdef",
        1,
        UNKNOWN_ID,
    ),
    (
        "instance activate 0123456789abcdef0123456789abcdef",
        1,
        UNKNOWN_ID,
    ),
    (
        "instance deregister 0123456789abcdef0123456789abcdef",
        1,
        "container instance",
    ),
    ("load-balancer create not.a.name", 1, "name"),
    ("load-balancer list nothing", 1, "nothing"),
    ("load-balancer delete nothing", 1, "nothing"),
    (
        "listener create --load-balancer nothing --port 80 --target-group nothing",
        1,
        "nothing",
    ),
    ("listener delete nothing:80", 1, "nothing"),
    (
        "rule create --listener nothing:80 --priority 1 --path /x --target-group nothing",
        1,
        "nothing",
    ),
    ("rule delete arn:nothing", 1, "rule"),
    ("target-group create -- -hyphen", 1, "name"),
    (
        "target-group create new --health-check-interval 1",
        1,
        "healthCheckIntervalSeconds",
    ),
    (
        "target-group modify nothing --health-check-interval 9",
        1,
        "nothing",
    ),
    ("target-group health nothing", 1, "nothing"),
    ("target-group delete nothing", 1, "nothing"),
    ("image import absent.tar", 1, "absent.tar"),
];

/// What is wrong with the command line itself, or with a setting.
const WRONG: &[Case] = &[
    ("cluster", 2, "Usage"),
    ("cluster list --everything", 2, "--everything"),
    ("service create", 2, "--task-definition"),
    (
        "service update web --desired-count some",
        2,
        "--desired-count",
    ),
    (
        "listener create --load-balancer web --port http --target-group web",
        2,
        "--port",
    ),
    ("completions klingon", 2, "klingon"),
    ("cluster list --output xml", 2, "--output"),
    ("status --endpoint http://127.0.0.1", 64, "endpoint"),
    ("context show --endpoint nonsense", 64, "endpoint"),
    (
        "status --endpoint unix:/nowhere.sock",
        3,
        "unix:/nowhere.sock",
    ),
    ("controlplane --listen tcp", 64, "listen"),
    ("controlplane --config unknown-key.toml", 64, "colour"),
    ("controlplane --config absent.toml", 64, "absent.toml"),
    ("agent --subnet banana", 64, "subnet"),
    ("agent --config unknown-key.toml", 64, "colour"),
    ("lb --bind here", 64, "bind"),
    ("lb --table absent.toml", 64, "absent.toml"),
    ("lb --config unknown-key.toml", 64, "colour"),
    ("lb --check --config unknown-key.toml", 64, "colour"),
    ("lb --check --table absent.toml", 64, "absent.toml"),
    ("lb --check --pool-timeout soon", 64, "pool_timeout"),
    ("dev --everything", 2, "--everything"),
];

const LISTS: &[&str] = &[
    "cluster list",
    "task-definition list",
    "service list",
    "task list",
    "instance list",
    "load-balancer list",
    "listener list",
    "target-group list",
];

#[tokio::test]
async fn bad_commands_are_refused_and_change_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::control_plane_alone().await?;
    write_files(&cluster)?;
    let before = lists(&cluster)?;
    let mut wrong = Vec::new();
    for case in REFUSED.iter().chain(WRONG) {
        if let Err(error) = check(&cluster, case) {
            wrong.push(format!("ctl {}: {error:#}", case.0));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(lists(&cluster)?, before);
    cluster.finish().await
}

fn write_files(cluster: &Cluster) -> anyhow::Result<()> {
    for (name, text) in [
        ("unknown-key.json", r#"{"executionRoleArn": "x"}"#),
        (
            "no-image.json",
            r#"{"family": "web", "containerDefinitions": [{"name": "web", "memory": 32}]}"#,
        ),
        ("unknown-key.toml", "colour = \"red\"\n"),
    ] {
        fs::write(cluster.directory().join(name), text)?;
    }
    Ok(())
}

fn check(cluster: &Cluster, (line, code, names): &Case) -> anyhow::Result<()> {
    let arguments: Vec<&str> = line.split(' ').collect();
    let output = cluster.ctl(&arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(*code),
        "{} instead of exit code {code}: {said}",
        output.status
    );
    ensure!(
        said.to_lowercase().contains(&names.to_lowercase()),
        "the error does not name {names}: {said}"
    );
    ensure!(output.stdout.is_empty(), "an error is no output");
    Ok(())
}

fn lists(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let list = |line: &&str| -> anyhow::Result<String> {
        let arguments: Vec<&str> = line.split(' ').chain(["--output", "json"]).collect();
        let output = cluster.ctl(&arguments)?;
        if !output.status.success() {
            bail!("ctl {line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    LISTS.iter().map(list).collect()
}
