//! One of everything, on a control plane without agents, and a look at all of it.

use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_tests::certificate::{Authority, Certificate};
use roadstead_tests::web::free_port;
use roadstead_tests::{Client, eventually};
use serde_json::{Value, json};

use crate::operations::call;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// So many equal looks in a row say that the loops have done what there is to do.
const EQUAL_LOOKS: u32 = 20;

/// The names of what there is.
#[derive(Debug, Default)]
pub(crate) struct Fixture {
    pub(crate) load_balancer: String,
    /// Of the secure listener.
    pub(crate) shop: Certificate,
    /// Of another certificate.
    pub(crate) other_key: String,
    pub(crate) certificate: String,
    pub(crate) secure_listener: String,
    pub(crate) listener: String,
    pub(crate) rule: String,
    pub(crate) port: u16,
    /// Used by the listener and by the service `web`.
    pub(crate) target_group: String,
    /// Used by nothing.
    pub(crate) loose_target_group: String,
}

impl Fixture {
    /// Creates the service `web` of `web:1`, which wants a task and finds no instance, with its listener and rule;
    /// `web:2` is inactive.
    pub(crate) async fn create(client: &Client) -> anyhow::Result<Self> {
        let definition = json!({
            "family": "web",
            "containerDefinitions": [{
                "name": "web", "image": "sample:v1", "memory": 32,
                "portMappings": [{"containerPort": 8080}],
            }],
        });
        accepted(client, "RegisterTaskDefinition", definition.clone()).await?;
        accepted(client, "RegisterTaskDefinition", definition).await?;
        accepted(
            client,
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "web:2"}),
        )
        .await?;

        let group = accepted(client, "CreateTargetGroup", json!({"Name": "web"})).await?;
        let target_group = arn(&group, "/TargetGroups/0/TargetGroupArn")?;
        let group = accepted(client, "CreateTargetGroup", json!({"Name": "loose"})).await?;
        let loose_target_group = arn(&group, "/TargetGroups/0/TargetGroupArn")?;
        let balancer = accepted(client, "CreateLoadBalancer", json!({"Name": "web"})).await?;
        let load_balancer = arn(&balancer, "/LoadBalancers/0/LoadBalancerArn")?;
        let authority = Authority::new("test")?;
        let shop = authority.issue(&["shop.example"])?;
        let other_key = authority.issue(&["other.example"])?.private_key;
        let request = json!({
            "Certificate": STANDARD.encode(&shop.certificate), "PrivateKey": STANDARD.encode(&shop.private_key),
        });
        let imported = accepted(client, "ImportCertificate", request).await?;
        let certificate = arn(&imported, "/CertificateArn")?;
        let secure_port = free_port()?;
        let request = json!({
            "LoadBalancerArn": load_balancer, "Protocol": "HTTPS", "Port": secure_port,
            "Certificates": [{"CertificateArn": certificate}],
            "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
        });
        let created = accepted(client, "CreateListener", request).await?;
        let secure_listener = arn(&created, "/Listeners/0/ListenerArn")?;
        let port = free_port()?;
        let forward = json!([{"Type": "forward", "TargetGroupArn": target_group}]);
        let request = json!({
            "LoadBalancerArn": load_balancer, "Protocol": "HTTP", "Port": port, "DefaultActions": forward,
        });
        let created = accepted(client, "CreateListener", request).await?;
        let listener = arn(&created, "/Listeners/0/ListenerArn")?;
        let request = json!({
            "ListenerArn": listener, "Priority": 10, "Actions": forward,
            "Conditions": [{"Field": "path-pattern", "Values": ["/api/*"]}],
        });
        let created = accepted(client, "CreateRule", request).await?;
        let rule = arn(&created, "/Rules/0/RuleArn")?;
        let request = json!({
            "serviceName": "web", "taskDefinition": "web:1", "desiredCount": 1,
            "loadBalancers": [
                {"targetGroupArn": target_group, "containerName": "web", "containerPort": 8080},
            ],
        });
        accepted(client, "CreateService", request).await?;
        Ok(Self {
            load_balancer,
            shop,
            other_key,
            certificate,
            secure_listener,
            listener,
            rule,
            port,
            target_group,
            loose_target_group,
        })
    }
}

/// Waits until nothing changes any more, and returns what there is.
pub(crate) async fn settled(client: &Client) -> anyhow::Result<Value> {
    let mut last = Value::Null;
    let mut equal = 0;
    eventually(DEADLINE, "quiet", async || {
        let now = Box::pin(everything(client)).await?;
        equal = if now == last { equal + 1 } else { 0 };
        last = now.clone();
        Ok((equal >= EQUAL_LOOKS).then_some(now))
    })
    .await
}

/// Returns all that the lists and descriptions say, but for the events: a loop may tell of an old problem again.
pub(crate) async fn everything(client: &Client) -> anyhow::Result<Value> {
    let mut seen = Vec::new();
    for operation in [
        "ListClusters",
        "ListTaskDefinitionFamilies",
        "ListTaskDefinitions",
        "ListServices",
        "ListTasks",
        "ListContainerInstances",
        "DescribeLoadBalancers",
        "DescribeTargetGroups",
        "ListCertificates",
    ] {
        seen.push(accepted(client, operation, json!({})).await?);
    }
    let inactive = json!({"status": "INACTIVE"});
    seen.push(accepted(client, "ListTaskDefinitions", inactive).await?);
    seen.push(accepted(client, "DescribeClusters", json!({"clusters": ["default"]})).await?);
    let revision = json!({"taskDefinition": "web:1"});
    seen.push(accepted(client, "DescribeTaskDefinition", revision).await?);
    let mut services = accepted(client, "DescribeServices", json!({"services": ["web"]})).await?;
    if let Some(service) = services.pointer_mut("/services/0") {
        service["events"] = Value::Null;
    }
    seen.push(services);
    let balancers = accepted(client, "DescribeLoadBalancers", json!({"Names": ["web"]})).await?;
    let load_balancer = arn(&balancers, "/LoadBalancers/0/LoadBalancerArn")?;
    let request = json!({"LoadBalancerArn": load_balancer});
    let listeners = accepted(client, "DescribeListeners", request).await?;
    let listener = arn(&listeners, "/Listeners/0/ListenerArn")?;
    seen.push(listeners);
    seen.push(accepted(client, "DescribeRules", json!({"ListenerArn": listener})).await?);
    Ok(Value::Array(seen))
}

async fn accepted(client: &Client, operation: &str, request: Value) -> anyhow::Result<Value> {
    // The future holds one for each operation.
    Box::pin(call(client, operation, request))
        .await?
        .map_err(|status| anyhow!("{operation}: {}", status.message()))
}

fn arn(answer: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("{answer} has no {pointer}"))?
        .to_owned())
}
