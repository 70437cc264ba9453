//! Bad requests to the operations of ECS on everything but task definitions.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::{Case, merge, refused};

const PARAMETER: &str = "InvalidParameterException";
const EITHER: &str = "ClientException|InvalidParameterException";
const NO_CLUSTER: &str = "ClusterNotFoundException";
const NO_SERVICE: &str = "ServiceNotFoundException";
/// Nobody has this id.
const UNKNOWN_ID: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn cases(fixture: &Fixture) -> Vec<Case> {
    let mut cases = clusters();
    cases.extend(create_service(fixture));
    cases.extend(services());
    cases.extend(tasks());
    cases.extend(container_instances());
    cases
}

fn clusters() -> Vec<Case> {
    let nowhere = || json!({"cluster": "nowhere"});
    vec![
        refused(
            "CreateCluster",
            json!({"clusterName": "not a name"}),
            EITHER,
            "clusterName",
        ),
        refused(
            "DescribeClusters",
            json!({"clusters": many(101)}),
            EITHER,
            "clusters",
        ),
        refused(
            "ListClusters",
            json!({"maxResults": 0}),
            EITHER,
            "maxResults",
        ),
        refused(
            "ListClusters",
            json!({"nextToken": "nonsense"}),
            EITHER,
            "nextToken",
        ),
        refused("DeleteCluster", nowhere(), NO_CLUSTER, "cluster"),
        refused(
            "DeleteCluster",
            json!({"cluster": "default"}),
            "ClusterContainsServicesException",
            "services",
        ),
        refused("ListServices", nowhere(), NO_CLUSTER, "cluster"),
        refused("ListTasks", nowhere(), NO_CLUSTER, "cluster"),
        refused("ListContainerInstances", nowhere(), NO_CLUSTER, "cluster"),
    ]
}

fn create_service(fixture: &Fixture) -> Vec<Case> {
    let service = |change: Value, exception, names| {
        let mut request =
            json!({"serviceName": "bad", "taskDefinition": "web:1", "desiredCount": 1});
        merge(&mut request, change);
        refused("CreateService", request, exception, names)
    };
    let behind = |group: &str, container: &str, port: u16| {
        json!({"loadBalancers": [
            {"targetGroupArn": group, "containerName": container, "containerPort": port},
        ]})
    };
    let group = fixture.target_group.as_str();
    vec![
        service(json!({"serviceName": ""}), EITHER, "serviceName"),
        service(json!({"serviceName": "not a name"}), EITHER, "serviceName"),
        service(
            json!({"serviceName": "web", "desiredCount": 7}),
            PARAMETER,
            "idempotent",
        ),
        service(json!({"taskDefinition": ""}), EITHER, "taskDefinition"),
        service(
            json!({"taskDefinition": "nothing"}),
            EITHER,
            "taskDefinition",
        ),
        service(json!({"taskDefinition": "web:2"}), EITHER, "inactive"),
        service(json!({"cluster": "nowhere"}), NO_CLUSTER, "cluster"),
        service(json!({"desiredCount": -1}), EITHER, "desiredCount"),
        service(json!({"launchType": "FARGATE"}), EITHER, "launchType"),
        service(
            json!({"schedulingStrategy": "DAEMON"}),
            EITHER,
            "schedulingStrategy",
        ),
        service(
            json!({"healthCheckGracePeriodSeconds": -1}),
            EITHER,
            "healthCheckGracePeriodSeconds",
        ),
        service(
            json!({"deploymentConfiguration": {"maximumPercent": 50}}),
            EITHER,
            "maximumPercent",
        ),
        service(
            json!({"deploymentConfiguration": {"minimumHealthyPercent": -1}}),
            EITHER,
            "minimumHealthyPercent",
        ),
        service(
            json!({"placementStrategy": [{"type": "scatter"}]}),
            EITHER,
            "placementStrategy",
        ),
        service(
            json!({"placementConstraints": [{"type": "near"}]}),
            EITHER,
            "placementConstraints",
        ),
        service(behind(group, "db", 8080), EITHER, "container db"),
        service(behind(group, "web", 9), EITHER, "container port 9"),
        service(
            behind(&unknown_target_group(), "web", 8080),
            EITHER,
            "target group",
        ),
        service(
            behind(&fixture.loose_target_group, "web", 8080),
            EITHER,
            "load balancer",
        ),
    ]
}

fn services() -> Vec<Case> {
    let update = |change: Value, exception, names| {
        let mut request = json!({"service": "web"});
        merge(&mut request, change);
        refused("UpdateService", request, exception, names)
    };
    vec![
        update(json!({"service": "nothing"}), NO_SERVICE, "service"),
        update(json!({"cluster": "nowhere"}), NO_CLUSTER, "cluster"),
        update(
            json!({"taskDefinition": "nothing"}),
            EITHER,
            "taskDefinition",
        ),
        update(json!({"taskDefinition": "web:2"}), EITHER, "inactive"),
        update(json!({"desiredCount": -1}), EITHER, "desiredCount"),
        update(
            json!({"deploymentConfiguration": {"maximumPercent": 50}}),
            EITHER,
            "maximumPercent",
        ),
        refused(
            "DeleteService",
            json!({"service": "nothing"}),
            NO_SERVICE,
            "service",
        ),
        refused(
            "DeleteService",
            json!({"service": "web"}),
            PARAMETER,
            "service",
        ),
        refused(
            "DescribeServices",
            json!({"services": []}),
            EITHER,
            "services",
        ),
        refused(
            "DescribeServices",
            json!({"services": many(11)}),
            EITHER,
            "services",
        ),
        refused(
            "ListServices",
            json!({"maxResults": 101}),
            EITHER,
            "maxResults",
        ),
    ]
}

fn tasks() -> Vec<Case> {
    let run = |change: Value, names| {
        let mut request = json!({"taskDefinition": "web:1"});
        merge(&mut request, change);
        refused("RunTask", request, EITHER, names)
    };
    vec![
        run(json!({}), "container instances"),
        run(json!({"taskDefinition": "nothing"}), "taskDefinition"),
        run(json!({"count": 0}), "count"),
        run(json!({"count": 11}), "count"),
        run(json!({"launchType": "FARGATE"}), "launchType"),
        run(
            json!({"overrides": {"containerOverrides": [{"name": "db"}]}}),
            "container",
        ),
        refused("StopTask", json!({"task": UNKNOWN_ID}), PARAMETER, "task"),
        refused("DescribeTasks", json!({"tasks": []}), EITHER, "tasks"),
        refused(
            "DescribeTasks",
            json!({"tasks": many(101)}),
            EITHER,
            "tasks",
        ),
        refused(
            "ListTasks",
            json!({"desiredStatus": "SLEEPING"}),
            EITHER,
            "desiredStatus",
        ),
        refused(
            "ListTasks",
            json!({"serviceName": "nothing"}),
            NO_SERVICE,
            "service",
        ),
        refused(
            "ListTasks",
            json!({"startedBy": "me", "family": "web"}),
            EITHER,
            "startedBy",
        ),
    ]
}

fn container_instances() -> Vec<Case> {
    let drain = |change: Value, names| {
        let mut request = json!({"containerInstances": [UNKNOWN_ID], "status": "DRAINING"});
        merge(&mut request, change);
        refused("UpdateContainerInstancesState", request, EITHER, names)
    };
    let unknown = json!({"containerInstance": UNKNOWN_ID});
    vec![
        drain(json!({"status": "SLEEPING"}), "status"),
        drain(
            json!({"containerInstances": many(11)}),
            "containerInstances",
        ),
        refused(
            "ListContainerInstances",
            json!({"status": "SLEEPING"}),
            EITHER,
            "status",
        ),
        refused(
            "DescribeContainerInstances",
            json!({"containerInstances": []}),
            EITHER,
            "containerInstances",
        ),
        refused(
            "DeregisterContainerInstance",
            unknown,
            EITHER,
            "container instance",
        ),
    ]
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("name-{number}")).collect()
}

fn unknown_target_group() -> String {
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/nothing/0123456789abcdef"
        .to_owned()
}
