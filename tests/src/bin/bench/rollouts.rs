//! A rollout of ten tasks behind the load balancer, with at most twelve running, under 300 requests a second.

use std::time::Duration;

use anyhow::ensure;
use roadstead_tests::Client;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::proto::ecs::{DeploymentConfiguration, UpdateServiceRequest};
use roadstead_tests::web::{self, WEB, Web};

use crate::samples::{Samples, heading};

/// What Docker Swarm took on the first machine: start-first, two at a time (docs/benchmarks.md).
const SWARM: Duration = Duration::from_millis(4100);

pub(crate) async fn measure(client: &Client, rounds: usize) -> anyhow::Result<()> {
    let web = Web::start(client, 10).await?;
    let request = UpdateServiceRequest {
        service: Some(WEB.to_owned()),
        deployment_configuration: Some(DeploymentConfiguration {
            maximum_percent: Some(120),
            minimum_healthy_percent: Some(100),
        }),
        ..UpdateServiceRequest::default()
    };
    client.ecs().await?.update_service(request).await?;
    let load = Load::start(Options::new(web.url))?;
    let mut durations = Samples::default();
    for image in ["sample:v2", "sample:v1"].iter().cycle().take(rounds) {
        let definition = web::definition(&[web::container(image, &[])]);
        let revision = client.register(definition).await?;
        client.update_to(WEB, &revision).await?;
        let receipt = client.wait_for_rollout(WEB, &revision).await?;
        let millis = u64::try_from(receipt.duration_ms.unwrap_or_default())?;
        durations.push(Duration::from_millis(millis));
    }
    let report = load.stop();
    ensure!(report.failed == 0, "{report}");
    let mut swarm = Samples::default();
    swarm.push(SWARM);
    heading("rollout of 10 tasks, at most 12 running", "Swarm");
    println!("{}", durations.row("service update", &swarm));
    println!("\nUnder it, the client counted:\n\n```\n{report}```");
    Ok(())
}
