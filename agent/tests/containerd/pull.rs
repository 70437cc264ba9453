//! Images from a registry.

use std::sync::atomic::Ordering;

use roadstead_client::proto::agent::ObservedTask;

use crate::image;
use crate::instance::Instance;
use crate::registry::{CREDENTIALS, Registry};
use crate::tasks::{container, id, task};

#[tokio::test]
async fn an_image_is_pulled_once_with_a_token_for_all_tasks_that_want_it() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("remote.tar");
    image::archive(&archive, "remote:v1");
    let registry = Registry::start(&archive).await;
    let address = &registry.address;
    let credentials = format!(r#"{{"auths":{{"{address}":{{"auth":"{CREDENTIALS}"}}}}}}"#);
    let instance = Instance::start_with(Some(&credentials)).await;
    let mut one = container("one", "test $(cat /etc/image) = remote:v1 && sleep 600");
    one.image = Some(format!("{address}/box:v1"));
    let tasks = (1..=5).map(|number| task(number, vec![one.clone()]));
    instance.control_plane.desire(tasks.collect());
    for number in 1..=5 {
        let running = instance.control_plane.status(&id(number), "RUNNING").await;
        assert!(running.pull_stopped_at >= running.pull_started_at);
    }
    assert_eq!(registry.manifests_served.load(Ordering::Relaxed), 1);

    one.image = Some(format!("{address}/box:v2"));
    instance.control_plane.desire(vec![task(6, vec![one])]);
    let stopped = instance.control_plane.status(&id(6), "STOPPED").await;
    let reason = &stopped.stopped_reason;
    assert!(reason.starts_with("CannotPullContainerError: "), "{reason}");
    instance.remove().await;
}

#[tokio::test]
async fn images_that_share_an_absent_layer_are_pulled_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("remote.tar");
    // The same digest three times in one manifest, and the manifest under two names.
    image::archive_with(&archive, "remote:v1", 3);
    let registries = [
        Registry::start(&archive).await,
        Registry::start(&archive).await,
    ];
    let auths = registries
        .iter()
        .map(|registry| format!(r#""{}":{{"auth":"{CREDENTIALS}"}}"#, registry.address));
    let auths = auths.collect::<Vec<_>>().join(",");
    let instance = Instance::start_with(Some(&format!(r#"{{"auths":{{{auths}}}}}"#))).await;
    let tasks = registries.iter().zip(1..).map(|(registry, number)| {
        let mut one = container("one", "test $(cat /etc/image) = remote:v1 && sleep 600");
        one.image = Some(format!("{}/box:v1", registry.address));
        task(number, vec![one])
    });
    instance.control_plane.desire(tasks.collect());
    for number in 1..=2 {
        let one = |task: &ObservedTask| ["RUNNING", "STOPPED"].contains(&&*task.last_status);
        let task = instance.control_plane.task(&id(number), one).await;
        assert_eq!(task.stopped_reason, "");
    }
    for registry in &registries {
        let served = registry.manifests_served.load(Ordering::Relaxed);
        assert_eq!(served, 1, "a pull was disturbed and began again");
    }
    instance.remove().await;
}

#[tokio::test]
async fn wrong_credentials_are_the_reason_that_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("remote.tar");
    image::archive(&archive, "remote:v1");
    let registry = Registry::start(&archive).await;
    let instance = Instance::start_with(None).await;
    let mut one = container("one", "sleep 600");
    one.image = Some(format!("{}/box:v1", registry.address));
    instance.control_plane.desire(vec![task(1, vec![one])]);
    let stopped = instance.control_plane.status(&id(1), "STOPPED").await;
    let reason = stopped.stopped_reason.to_lowercase();
    assert!(
        reason.starts_with("cannotpullcontainererror: ") && reason.contains("auth"),
        "{reason}"
    );
    instance.remove().await;
}
