//! Elastic Container Service.

use roadstead_proto::ecs;
use serde_json::json;

use crate::{is_written_as, some};

#[test]
fn a_cluster() {
    let cluster = ecs::Cluster {
        cluster_arn: some("arn:aws:ecs:local:000000000000:cluster/default"),
        cluster_name: some("default"),
        status: some("ACTIVE"),
        registered_container_instances_count: Some(1),
        running_tasks_count: Some(2),
        pending_tasks_count: Some(0),
        active_services_count: Some(1),
    };
    let failure = ecs::Failure {
        arn: some("arn:x"),
        reason: some("MISSING"),
        detail: None,
    };
    let response = ecs::DescribeClustersResponse {
        clusters: vec![cluster],
        failures: vec![failure],
    };
    is_written_as(
        &response,
        &json!({
            "clusters": [{
                "clusterArn": "arn:aws:ecs:local:000000000000:cluster/default",
                "clusterName": "default",
                "status": "ACTIVE",
                "registeredContainerInstancesCount": 1,
                "runningTasksCount": 2,
                "pendingTasksCount": 0,
                "activeServicesCount": 1
            }],
            "failures": [{"arn": "arn:x", "reason": "MISSING"}]
        }),
    );
}

#[test]
fn a_list_on_its_last_page_has_no_token() {
    is_written_as(&ecs::ListTasksResponse::default(), &json!({}));
    let page = ecs::ListTasksResponse {
        task_arns: vec!["a".to_owned()],
        next_token: some("t"),
    };
    is_written_as(&page, &json!({"taskArns": ["a"], "nextToken": "t"}));
}

#[test]
fn a_task_definition() {
    let container = ecs::ContainerDefinition {
        name: some("app"),
        image: some("shop/web:v1"),
        cpu: Some(0),
        memory: Some(128),
        essential: Some(true),
        port_mappings: vec![ecs::PortMapping {
            container_port: Some(8080),
            host_port: Some(0),
            protocol: some("tcp"),
            name: None,
        }],
        health_check: Some(ecs::HealthCheck {
            command: vec!["CMD-SHELL".to_owned(), "true".to_owned()],
            interval: Some(30),
            timeout: Some(5),
            retries: Some(3),
            start_period: None,
        }),
        ..ecs::ContainerDefinition::default()
    };
    let definition = ecs::TaskDefinition {
        task_definition_arn: some("arn:aws:ecs:local:000000000000:task-definition/web:7"),
        container_definitions: vec![container],
        family: some("web"),
        network_mode: some("bridge"),
        revision: Some(7),
        status: some("ACTIVE"),
        compatibilities: vec!["EXTERNAL".to_owned(), "EC2".to_owned()],
        cpu: some("256"),
        registered_at: Some(1_700_000_000.123),
        ..ecs::TaskDefinition::default()
    };
    is_written_as(
        &definition,
        &json!({
            "taskDefinitionArn": "arn:aws:ecs:local:000000000000:task-definition/web:7",
            "containerDefinitions": [{
                "name": "app",
                "image": "shop/web:v1",
                "cpu": 0,
                "memory": 128,
                "essential": true,
                "portMappings": [{"containerPort": 8080, "hostPort": 0, "protocol": "tcp"}],
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "systemControls": [],
                "healthCheck": {
                    "command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3
                }
            }],
            "family": "web",
            "networkMode": "bridge",
            "revision": 7,
            "volumes": [],
            "status": "ACTIVE",
            "placementConstraints": [],
            "compatibilities": ["EXTERNAL", "EC2"],
            "cpu": "256",
            "registeredAt": 1_700_000_000.123
        }),
    );
}

#[test]
fn a_service() {
    let service = ecs::Service {
        service_name: some("web"),
        load_balancers: vec![ecs::LoadBalancer {
            target_group_arn: some("arn:tg"),
            container_name: some("app"),
            container_port: Some(8080),
        }],
        status: some("ACTIVE"),
        desired_count: Some(4),
        deployment_configuration: Some(ecs::DeploymentConfiguration {
            maximum_percent: Some(200),
            minimum_healthy_percent: Some(100),
        }),
        deployments: vec![ecs::Deployment {
            id: some("ecs-svc/1234567890123456789"),
            status: some("PRIMARY"),
            failed_tasks: Some(0),
            rollout_state: some("IN_PROGRESS"),
            ..ecs::Deployment::default()
        }],
        events: vec![ecs::ServiceEvent {
            id: some("00000000-0000-4000-8000-000000000007"),
            created_at: Some(1_700_000_000.5),
            message: some("(service web) has reached a steady state."),
        }],
        ..ecs::Service::default()
    };
    is_written_as(
        &service,
        &json!({
            "serviceName": "web",
            "loadBalancers": [
                {"targetGroupArn": "arn:tg", "containerName": "app", "containerPort": 8080}
            ],
            "serviceRegistries": [],
            "status": "ACTIVE",
            "desiredCount": 4,
            "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
            "deployments": [{
                "id": "ecs-svc/1234567890123456789",
                "status": "PRIMARY",
                "failedTasks": 0,
                "rolloutState": "IN_PROGRESS"
            }],
            "events": [{
                "id": "00000000-0000-4000-8000-000000000007",
                "createdAt": 1_700_000_000.5,
                "message": "(service web) has reached a steady state."
            }],
            "placementConstraints": [],
            "placementStrategy": []
        }),
    );
}

#[test]
fn a_task() {
    let container = ecs::Container {
        name: some("app"),
        last_status: some("STOPPED"),
        exit_code: Some(137),
        reason: some("OutOfMemoryError: Container killed due to memory usage"),
        network_bindings: vec![ecs::NetworkBinding {
            bind_ip: some("0.0.0.0"),
            container_port: Some(80),
            host_port: Some(49153),
            protocol: some("tcp"),
        }],
        cpu: some("0"),
        memory: some("128"),
        ..ecs::Container::default()
    };
    let task = ecs::Task {
        containers: vec![container],
        cpu: some("256"),
        memory: some("128"),
        last_status: some("STOPPED"),
        desired_status: some("STOPPED"),
        stop_code: some("EssentialContainerExited"),
        stopped_reason: some("Essential container in task exited"),
        stopped_at: Some(1_700_000_001.25),
        version: Some(5),
        ..ecs::Task::default()
    };
    is_written_as(
        &task,
        &json!({
            "attachments": [],
            "attributes": [],
            "containers": [{
                "name": "app",
                "lastStatus": "STOPPED",
                "exitCode": 137,
                "reason": "OutOfMemoryError: Container killed due to memory usage",
                "networkBindings": [
                    {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 49153, "protocol": "tcp"}
                ],
                "cpu": "0",
                "memory": "128"
            }],
            "cpu": "256",
            "memory": "128",
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            "stopCode": "EssentialContainerExited",
            "stoppedReason": "Essential container in task exited",
            "stoppedAt": 1_700_000_001.25,
            "tags": [],
            "version": 5
        }),
    );
}

#[test]
fn a_container_instance() {
    let instance = ecs::ContainerInstance {
        container_instance_arn: some("arn:i"),
        registered_resources: vec![ecs::Resource {
            name: some("PORTS"),
            r#type: some("STRINGSET"),
            double_value: Some(0.0),
            long_value: Some(0),
            integer_value: Some(0),
            string_set_value: vec!["22".to_owned()],
        }],
        status: some("ACTIVE"),
        agent_connected: Some(true),
        ..ecs::ContainerInstance::default()
    };
    is_written_as(
        &instance,
        &json!({
            "containerInstanceArn": "arn:i",
            "registeredResources": [{
                "name": "PORTS",
                "type": "STRINGSET",
                "doubleValue": 0.0,
                "longValue": 0,
                "integerValue": 0,
                "stringSetValue": ["22"]
            }],
            "status": "ACTIVE",
            "agentConnected": true,
            "attributes": [],
            "attachments": [],
            "tags": []
        }),
    );
}

#[test]
fn a_field_that_is_not_supported_is_refused_by_name() {
    let given = json!({"family": "web", "ephemeralStorage": {"sizeInGiB": 30}});
    let error = serde_json::from_value::<ecs::RegisterTaskDefinitionRequest>(given).unwrap_err();
    assert!(error.to_string().contains("ephemeralStorage"), "{error}");
}
