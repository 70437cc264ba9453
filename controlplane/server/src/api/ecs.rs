//! Amazon ECS over gRPC: each operation and the handler that carries it out.

use roadstead_proto::ecs as wire;

use super::{
    cluster, container_instance, operations, service, task, task_definition, task_placement,
};

operations! {
    /// Serves the operations of Amazon ECS.
    Ecs as ecs_server::Ecs {
        create_cluster: CreateClusterRequest => CreateClusterResponse, cluster::create,
        describe_clusters: DescribeClustersRequest => DescribeClustersResponse, cluster::describe,
        list_clusters: ListClustersRequest => ListClustersResponse, cluster::list,
        delete_cluster: DeleteClusterRequest => DeleteClusterResponse, cluster::delete,
        register_task_definition: RegisterTaskDefinitionRequest => RegisterTaskDefinitionResponse, task_definition::register,
        describe_task_definition: DescribeTaskDefinitionRequest => DescribeTaskDefinitionResponse, task_definition::describe,
        list_task_definitions: ListTaskDefinitionsRequest => ListTaskDefinitionsResponse, task_definition::list,
        list_task_definition_families: ListTaskDefinitionFamiliesRequest => ListTaskDefinitionFamiliesResponse, task_definition::families,
        deregister_task_definition: DeregisterTaskDefinitionRequest => DeregisterTaskDefinitionResponse, task_definition::deregister,
        create_service: CreateServiceRequest => CreateServiceResponse, service::create,
        update_service: UpdateServiceRequest => UpdateServiceResponse, service::update,
        delete_service: DeleteServiceRequest => DeleteServiceResponse, service::delete,
        describe_services: DescribeServicesRequest => DescribeServicesResponse, service::describe,
        list_services: ListServicesRequest => ListServicesResponse, service::list,
        run_task: RunTaskRequest => RunTaskResponse, task_placement::run,
        stop_task: StopTaskRequest => StopTaskResponse, task::stop,
        describe_tasks: DescribeTasksRequest => DescribeTasksResponse, task::describe,
        list_tasks: ListTasksRequest => ListTasksResponse, task::list,
        list_container_instances: ListContainerInstancesRequest => ListContainerInstancesResponse, container_instance::list,
        describe_container_instances: DescribeContainerInstancesRequest => DescribeContainerInstancesResponse, container_instance::describe,
        deregister_container_instance: DeregisterContainerInstanceRequest => DeregisterContainerInstanceResponse, container_instance::deregister,
        update_container_instances_state: UpdateContainerInstancesStateRequest => UpdateContainerInstancesStateResponse, container_instance::update_state,
    }
}
