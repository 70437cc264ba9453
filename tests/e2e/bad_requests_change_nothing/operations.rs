//! Calls an operation by its name, with a request in the JSON shape that the AWS CLI takes.

use anyhow::bail;
use roadstead_tests::Client;
use roadstead_tests::proto::acm::{
    DeleteCertificateRequest, DescribeCertificateRequest, ImportCertificateRequest,
    ListCertificatesRequest,
};
use roadstead_tests::proto::ecs::*;
use roadstead_tests::proto::elb::{
    AddListenerCertificatesRequest, CreateListenerRequest, CreateLoadBalancerRequest,
    CreateRuleRequest, CreateTargetGroupRequest, DeleteListenerRequest, DeleteLoadBalancerRequest,
    DeleteRuleRequest, DeleteTargetGroupRequest, DescribeListenerAttributesRequest,
    DescribeListenerCertificatesRequest, DescribeListenersRequest, DescribeLoadBalancersRequest,
    DescribeRulesRequest, DescribeTargetGroupAttributesRequest, DescribeTargetGroupsRequest,
    DescribeTargetHealthRequest, ModifyListenerAttributesRequest, ModifyListenerRequest,
    ModifyRuleRequest, ModifyTargetGroupAttributesRequest, ModifyTargetGroupRequest,
    RemoveListenerCertificatesRequest, SetRulePrioritiesRequest,
};
use serde_json::Value;
use tonic::Status;

macro_rules! operations {
    ($($name:literal => $api:ident.$method:ident($request:ty);)*) => {
        /// Every operation of the public API that answers once.
        pub(crate) const OPERATIONS: &[&str] = &[$($name),*];

        /// Returns the answer as JSON, or the refusal.
        ///
        /// # Errors
        /// Fails when the operation is not known, the request has not its shape, or nobody answers.
        pub(crate) async fn call(
            client: &Client,
            operation: &str,
            request: Value,
        ) -> anyhow::Result<Result<Value, Status>> {
            match operation {
                $($name => {
                    let request: $request = serde_json::from_value(request)?;
                    match client.$api().await?.$method(request).await {
                        Ok(answer) => Ok(Ok(serde_json::to_value(answer.into_inner())?)),
                        Err(status) => Ok(Err(status)),
                    }
                })*
                other => bail!("there is no operation {other}"),
            }
        }
    };
}

operations! {
    "CreateCluster" => ecs.create_cluster(CreateClusterRequest);
    "DescribeClusters" => ecs.describe_clusters(DescribeClustersRequest);
    "ListClusters" => ecs.list_clusters(ListClustersRequest);
    "DeleteCluster" => ecs.delete_cluster(DeleteClusterRequest);
    "RegisterTaskDefinition" => ecs.register_task_definition(RegisterTaskDefinitionRequest);
    "DescribeTaskDefinition" => ecs.describe_task_definition(DescribeTaskDefinitionRequest);
    "ListTaskDefinitions" => ecs.list_task_definitions(ListTaskDefinitionsRequest);
    "ListTaskDefinitionFamilies" => ecs.list_task_definition_families(ListTaskDefinitionFamiliesRequest);
    "DeregisterTaskDefinition" => ecs.deregister_task_definition(DeregisterTaskDefinitionRequest);
    "CreateService" => ecs.create_service(CreateServiceRequest);
    "UpdateService" => ecs.update_service(UpdateServiceRequest);
    "DeleteService" => ecs.delete_service(DeleteServiceRequest);
    "DescribeServices" => ecs.describe_services(DescribeServicesRequest);
    "ListServices" => ecs.list_services(ListServicesRequest);
    "RunTask" => ecs.run_task(RunTaskRequest);
    "StopTask" => ecs.stop_task(StopTaskRequest);
    "DescribeTasks" => ecs.describe_tasks(DescribeTasksRequest);
    "ListTasks" => ecs.list_tasks(ListTasksRequest);
    "ListContainerInstances" => ecs.list_container_instances(ListContainerInstancesRequest);
    "DescribeContainerInstances" => ecs.describe_container_instances(DescribeContainerInstancesRequest);
    "DeregisterContainerInstance" => ecs.deregister_container_instance(DeregisterContainerInstanceRequest);
    "UpdateContainerInstancesState" => ecs.update_container_instances_state(UpdateContainerInstancesStateRequest);

    "ImportCertificate" => acm.import_certificate(ImportCertificateRequest);
    "DescribeCertificate" => acm.describe_certificate(DescribeCertificateRequest);
    "ListCertificates" => acm.list_certificates(ListCertificatesRequest);
    "DeleteCertificate" => acm.delete_certificate(DeleteCertificateRequest);

    "CreateLoadBalancer" => elb.create_load_balancer(CreateLoadBalancerRequest);
    "DescribeLoadBalancers" => elb.describe_load_balancers(DescribeLoadBalancersRequest);
    "DeleteLoadBalancer" => elb.delete_load_balancer(DeleteLoadBalancerRequest);
    "CreateTargetGroup" => elb.create_target_group(CreateTargetGroupRequest);
    "DescribeTargetGroups" => elb.describe_target_groups(DescribeTargetGroupsRequest);
    "ModifyTargetGroup" => elb.modify_target_group(ModifyTargetGroupRequest);
    "ModifyTargetGroupAttributes" => elb.modify_target_group_attributes(ModifyTargetGroupAttributesRequest);
    "DescribeTargetGroupAttributes" => elb.describe_target_group_attributes(DescribeTargetGroupAttributesRequest);
    "DeleteTargetGroup" => elb.delete_target_group(DeleteTargetGroupRequest);
    "DescribeTargetHealth" => elb.describe_target_health(DescribeTargetHealthRequest);
    "CreateListener" => elb.create_listener(CreateListenerRequest);
    "DescribeListeners" => elb.describe_listeners(DescribeListenersRequest);
    "ModifyListener" => elb.modify_listener(ModifyListenerRequest);
    "AddListenerCertificates" => elb.add_listener_certificates(AddListenerCertificatesRequest);
    "RemoveListenerCertificates" => elb.remove_listener_certificates(RemoveListenerCertificatesRequest);
    "DescribeListenerCertificates" => elb.describe_listener_certificates(DescribeListenerCertificatesRequest);
    "ModifyListenerAttributes" => elb.modify_listener_attributes(ModifyListenerAttributesRequest);
    "DescribeListenerAttributes" => elb.describe_listener_attributes(DescribeListenerAttributesRequest);
    "DeleteListener" => elb.delete_listener(DeleteListenerRequest);
    "CreateRule" => elb.create_rule(CreateRuleRequest);
    "DescribeRules" => elb.describe_rules(DescribeRulesRequest);
    "ModifyRule" => elb.modify_rule(ModifyRuleRequest);
    "SetRulePriorities" => elb.set_rule_priorities(SetRulePrioritiesRequest);
    "DeleteRule" => elb.delete_rule(DeleteRuleRequest);
}
