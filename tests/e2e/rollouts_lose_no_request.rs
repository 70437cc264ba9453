//! A service rolls out under load and loses no request, counted by the client and not only by the receipt.

use roadstead_tests::Cluster;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::{self, WEB, Web};

#[tokio::test]
async fn ten_rollouts_of_ten_tasks_under_constant_load_lose_no_request() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let client = &cluster.client;
    let web = Web::start(client, 10).await?;
    let load = Load::start(Options::new(web.url))?;
    for image in ["sample:v2", "sample:v1"].repeat(5) {
        let definition = web::definition(&[web::container(image, &[])]);
        let revision = client.register(definition).await?;
        client.update_to(WEB, &revision).await?;
        let receipt = client.wait_for_rollout(WEB, &revision).await?;
        assert_eq!(
            (receipt.failed, receipt.cut),
            (Some(0), Some(0)),
            "{receipt:?}"
        );
        assert!(receipt.served > Some(0), "{receipt:?}");
    }
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    assert!(
        report.answers["v1"] > 0 && report.answers["v2"] > 0,
        "{report}"
    );
    let due = report.duration_ms * 300 / 1000;
    assert!(
        report.ok > due * 9 / 10,
        "the load was not constant: {report}"
    );
    cluster.finish().await
}
