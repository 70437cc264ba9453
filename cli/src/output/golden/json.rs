//! The answers in the shape of the AWS CLI.

use expect_test::{ExpectFile, expect_file};
use roadstead_client::proto::ecs::{
    DescribeClustersResponse, DescribeContainerInstancesResponse, DescribeServicesResponse,
    DescribeTaskDefinitionResponse, DescribeTasksResponse, ListTaskDefinitionsResponse,
};
use roadstead_client::proto::elb::{
    DescribeListenersResponse, DescribeLoadBalancersResponse, DescribeRulesResponse,
    DescribeTargetGroupsResponse, DescribeTargetHealthResponse,
};
use serde::Serialize;

use super::fixture;

fn check<T: Serialize>(message: &T, expected: &ExpectFile) {
    let json = crate::output::json(message).unwrap();
    expected.assert_eq(&format!("{json}\n"));
}

#[test]
fn clusters_as_json() {
    check(
        &DescribeClustersResponse {
            clusters: vec![fixture::cluster()],
            failures: Vec::new(),
        },
        &expect_file!["json/clusters.json"],
    );
}

#[test]
fn a_list_of_arns_as_json() {
    check(
        &ListTaskDefinitionsResponse {
            task_definition_arns: vec![fixture::task_definition().task_definition_arn.unwrap()],
            next_token: None,
        },
        &expect_file!["json/revisions.json"],
    );
}

#[test]
fn a_task_definition_as_json() {
    check(
        &DescribeTaskDefinitionResponse {
            task_definition: Some(fixture::task_definition()),
        },
        &expect_file!["json/task_definition.json"],
    );
}

#[test]
fn services_as_json() {
    check(
        &DescribeServicesResponse {
            services: vec![fixture::service()],
            failures: Vec::new(),
        },
        &expect_file!["json/services.json"],
    );
}

#[test]
fn tasks_as_json() {
    check(
        &DescribeTasksResponse {
            tasks: vec![fixture::task()],
            failures: Vec::new(),
        },
        &expect_file!["json/tasks.json"],
    );
}

#[test]
fn container_instances_as_json() {
    check(
        &DescribeContainerInstancesResponse {
            container_instances: vec![fixture::instance()],
            failures: Vec::new(),
        },
        &expect_file!["json/instances.json"],
    );
}

#[test]
fn load_balancers_as_json() {
    check(
        &DescribeLoadBalancersResponse {
            load_balancers: vec![fixture::elb::load_balancer()],
        },
        &expect_file!["json/load_balancers.json"],
    );
}

#[test]
fn listeners_as_json() {
    check(
        &DescribeListenersResponse {
            listeners: vec![fixture::elb::listener()],
        },
        &expect_file!["json/listeners.json"],
    );
}

#[test]
fn rules_as_json() {
    check(
        &DescribeRulesResponse {
            rules: vec![fixture::elb::rule(), fixture::elb::redirecting_rule()],
        },
        &expect_file!["json/rules.json"],
    );
}

#[test]
fn target_groups_as_json() {
    check(
        &DescribeTargetGroupsResponse {
            target_groups: vec![fixture::elb::target_group()],
        },
        &expect_file!["json/target_groups.json"],
    );
}

#[test]
fn the_health_of_targets_as_json() {
    check(
        &DescribeTargetHealthResponse {
            target_health_descriptions: vec![fixture::elb::target_health()],
        },
        &expect_file!["json/target_health.json"],
    );
}

#[test]
fn the_control_plane_as_json() {
    check(
        &fixture::control_plane(),
        &expect_file!["json/control_plane.json"],
    );
}
