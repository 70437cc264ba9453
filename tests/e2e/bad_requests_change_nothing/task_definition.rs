//! Bad requests to the operations of ECS on task definitions.

use serde_json::{Value, json};

use crate::{Case, merge, refused};

const CLIENT: &str = "ClientException";
const EITHER: &str = "ClientException|InvalidParameterException";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = task_definitions();
    cases.extend(containers());
    cases
}

fn task_definitions() -> Vec<Case> {
    let unknown = || json!({"taskDefinition": "nothing:1"});
    vec![
        refused(
            "DescribeTaskDefinition",
            unknown(),
            CLIENT,
            "task definition",
        ),
        refused(
            "DeregisterTaskDefinition",
            unknown(),
            CLIENT,
            "task definition",
        ),
        refused(
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "web"}),
            EITHER,
            "revision",
        ),
        refused(
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "web:foo"}),
            EITHER,
            "revision",
        ),
        refused(
            "ListTaskDefinitions",
            json!({"status": "SLEEPING"}),
            EITHER,
            "status",
        ),
        refused(
            "ListTaskDefinitions",
            json!({"sort": "SIDEWAYS"}),
            EITHER,
            "sort",
        ),
        refused(
            "ListTaskDefinitions",
            json!({"maxResults": 101}),
            EITHER,
            "maxResults",
        ),
        refused(
            "ListTaskDefinitionFamilies",
            json!({"status": "SLEEPING"}),
            EITHER,
            "status",
        ),
        refused(
            "ListTaskDefinitionFamilies",
            json!({"nextToken": "nonsense"}),
            EITHER,
            "nextToken",
        ),
    ]
}

/// RegisterTaskDefinition, each time with one thing wrong.
fn containers() -> Vec<Case> {
    let definition = |change: Value, names| {
        let mut request = json!({"family": "bad", "containerDefinitions": [container(json!({}))]});
        merge(&mut request, change);
        refused("RegisterTaskDefinition", request, EITHER, names)
    };
    let with = |change: Value, names| {
        definition(json!({"containerDefinitions": [container(change)]}), names)
    };
    vec![
        definition(json!({"family": ""}), "family"),
        definition(json!({"family": "not a name"}), "family"),
        definition(json!({"containerDefinitions": []}), "container"),
        definition(
            json!({"containerDefinitions": [container(json!({})), container(json!({}))]}),
            "container.name",
        ),
        definition(json!({"networkMode": "overlay"}), "networkMode"),
        definition(json!({"networkMode": "awsvpc"}), "networkMode"),
        definition(json!({"volumes": [{"name": "data"}]}), "volumes"),
        definition(json!({"cpu": "much"}), "cpu"),
        definition(json!({"memory": "1"}), "memory"),
        definition(
            json!({"requiresCompatibilities": ["FARGATE"]}),
            "requiresCompatibilities",
        ),
        with(json!({"name": ""}), "container.name"),
        with(json!({"image": ""}), "container.image"),
        with(json!({"memory": null}), "memory"),
        with(json!({"memory": 1}), "memory"),
        with(
            json!({"memory": 32, "memoryReservation": 64}),
            "memoryReservation",
        ),
        with(json!({"cpu": -1}), "cpu"),
        with(json!({"essential": false}), "essential"),
        with(json!({"stopTimeout": 121}), "stopTimeout"),
        with(
            json!({"portMappings": [{"containerPort": 70_000}]}),
            "containerPort",
        ),
        with(
            json!({"portMappings": [{"containerPort": 80, "hostPort": -1}]}),
            "hostPort",
        ),
        with(
            json!({"portMappings": [{"containerPort": 80, "protocol": "sctp"}]}),
            "protocol",
        ),
        with(
            json!({"environment": [{"name": "", "value": "x"}]}),
            "environment",
        ),
        with(
            json!({"healthCheck": {"command": ["CMD", "true"], "interval": 1}}),
            "interval",
        ),
        with(json!({"healthCheck": {"command": ["true"]}}), "command"),
        with(
            json!({"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}),
            "mountPoints",
        ),
    ]
}

/// A good container, but for `change`.
fn container(change: Value) -> Value {
    let mut container = json!({"name": "web", "image": "sample:v1", "memory": 32});
    merge(&mut container, change);
    container
}
