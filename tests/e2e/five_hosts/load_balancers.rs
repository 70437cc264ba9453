//! Two load balancers before one service.

use std::time::Duration;

use roadstead_tests::cluster::Role;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::{self, Web};
use roadstead_tests::{Hosts, http};
use tokio::task::JoinSet;

use crate::story::{DEADLINE, LOAD_BALANCER, complete, roll_out};

const SECOND: usize = 1;
const TASKS: i32 = 4;
/// Longer than a rollout that waits for nobody, shorter than the deregistration delay of 30 s.
const SLOW: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_rollout_waits_for_the_drain_of_both_and_one_serves_without_the_other()
-> anyhow::Result<()> {
    let mut hosts = Hosts::five().await?;
    hosts.start_load_balancer(SECOND).await?;
    let client = hosts.client()?;
    // Its containers end as soon as they are told to: a request that is under way then is lost.
    let hasty = |image| web::definition(&[web::container(image, &[("HASTY", "true")])]);
    let web = Web::start_with(&client, TASKS, hasty("sample:v1")).await?;
    let [first, second] =
        [LOAD_BALANCER, SECOND].map(|host| web.url_at(hosts.host(host).address()));
    let load = [first.clone(), second.clone()].map(|url| Load::start(Options::new(url)));

    // Enough of them that each task has some, all by the second.
    let slow = second.path(&format!("/slow?ms={}", SLOW.as_millis()));
    let mut requests = JoinSet::new();
    for _ in 0..4 * TASKS {
        let slow = slow.clone();
        requests.spawn(async move { http::get(&slow, DEADLINE).await });
    }
    let revision = client.register(hasty("sample:v2")).await?;
    client.update_to(web::WEB, &revision).await?;
    complete(&client, &revision).await?;
    while let Some(answer) = requests.join_next().await {
        assert_eq!(answer??.status, 200);
    }

    let [at_first, at_second] = load;
    let report = at_second?.stop();
    assert_eq!(report.failed, 0, "{report}");
    hosts.host(SECOND).role(Role::LoadBalancer)?.kill()?;
    let at_first = at_first?;
    at_first.wait_for_answers(300).await?;
    // Nobody knows yet that the second is gone: this one waits for it as long as it may be on its way back.
    roll_out(&client, "sample:v1").await?;
    hosts.host(SECOND).role(Role::LoadBalancer)?.start_again()?;
    let report = at_first.stop();
    assert_eq!(report.failed, 0, "{report}");
    hosts.finish().await
}
