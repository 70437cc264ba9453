//! Elastic Load Balancing v2 over gRPC: each operation and the handler that carries it out.

use roadstead_proto::elb as wire;

use super::{listener, load_balancer, operations, rule, target_group};

operations! {
    /// Serves the operations of Elastic Load Balancing v2.
    Elb as elb_server::Elb {
        create_load_balancer: CreateLoadBalancerRequest => CreateLoadBalancerResponse, load_balancer::create,
        describe_load_balancers: DescribeLoadBalancersRequest => DescribeLoadBalancersResponse, load_balancer::describe,
        delete_load_balancer: DeleteLoadBalancerRequest => DeleteLoadBalancerResponse, load_balancer::delete,
        create_target_group: CreateTargetGroupRequest => CreateTargetGroupResponse, target_group::create,
        describe_target_groups: DescribeTargetGroupsRequest => DescribeTargetGroupsResponse, target_group::describe,
        modify_target_group: ModifyTargetGroupRequest => ModifyTargetGroupResponse, target_group::modify,
        modify_target_group_attributes: ModifyTargetGroupAttributesRequest => ModifyTargetGroupAttributesResponse, target_group::modify_attributes,
        describe_target_group_attributes: DescribeTargetGroupAttributesRequest => DescribeTargetGroupAttributesResponse, target_group::describe_attributes,
        delete_target_group: DeleteTargetGroupRequest => DeleteTargetGroupResponse, target_group::delete,
        describe_target_health: DescribeTargetHealthRequest => DescribeTargetHealthResponse, target_group::health,
        create_listener: CreateListenerRequest => CreateListenerResponse, listener::create,
        describe_listeners: DescribeListenersRequest => DescribeListenersResponse, listener::describe,
        modify_listener: ModifyListenerRequest => ModifyListenerResponse, listener::modify,
        add_listener_certificates: AddListenerCertificatesRequest => AddListenerCertificatesResponse, listener::add_certificates,
        remove_listener_certificates: RemoveListenerCertificatesRequest => RemoveListenerCertificatesResponse, listener::remove_certificates,
        describe_listener_certificates: DescribeListenerCertificatesRequest => DescribeListenerCertificatesResponse, listener::describe_certificates,
        modify_listener_attributes: ModifyListenerAttributesRequest => ModifyListenerAttributesResponse, listener::modify_attributes,
        describe_listener_attributes: DescribeListenerAttributesRequest => DescribeListenerAttributesResponse, listener::describe_attributes,
        delete_listener: DeleteListenerRequest => DeleteListenerResponse, listener::delete,
        create_rule: CreateRuleRequest => CreateRuleResponse, rule::create,
        describe_rules: DescribeRulesRequest => DescribeRulesResponse, rule::describe,
        modify_rule: ModifyRuleRequest => ModifyRuleResponse, rule::modify,
        set_rule_priorities: SetRulePrioritiesRequest => SetRulePrioritiesResponse, rule::set_priorities,
        delete_rule: DeleteRuleRequest => DeleteRuleResponse, rule::delete,
    }
}
