use roadstead_proto::lb;

use crate::harness::{
    Backend, FakeControlPlane, Lb, config, free_address, get, listener, spawn, table, target,
    within,
};

#[tokio::test]
async fn without_a_control_plane_the_last_table_is_served_after_a_restart() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    lb.control_plane.kill();
    assert_eq!(get(lb.address, "/").await.text(), "hello");
    let first = lb.reports.borrow().clone();
    lb.stop.cancel();
    within(lb.task).await.unwrap().unwrap();
    let config = config(lb.data_dir.path());
    let (mut reports, stop, task) = spawn(config, lb.control_plane.source());
    let again = within(reports.wait_for(|report| report.table_revision == 1)).await;
    let again = again.unwrap().clone();
    assert_eq!(get(lb.address, "/").await.text(), "hello");
    assert_eq!(again.node_id, first.node_id);
    assert_ne!(again.incarnation, first.incarnation);
    stop.cancel();
    within(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_control_plane_that_comes_back_is_found_again() {
    let (a, b) = (Backend::text("a").await, Backend::text("b").await);
    let mut lb = Lb::start(&[target("a", a.address)]).await;
    lb.control_plane.kill();
    assert_eq!(get(lb.address, "/").await.text(), "a");
    lb.control_plane.restart();
    lb.retarget(&[target("b", b.address)]).await;
    assert_eq!(get(lb.address, "/").await.text(), "b");
}

#[tokio::test]
async fn an_older_table_of_the_same_control_plane_is_refused_and_one_of_another_is_taken() {
    let (a, b) = (Backend::text("a").await, Backend::text("b").await);
    let mut lb = Lb::start(&[target("a", a.address)]).await;
    let revision = lb.change(|_table| {});
    lb.until(|report| report.table_revision == revision).await;
    let mut older = table(lb.address.port(), &[target("b", b.address)]);
    lb.control_plane.send(older.clone());
    let mut reports = lb.control_plane.reports();
    for _ in 0..2 {
        within(reports.changed()).await.unwrap();
    }
    assert_eq!(reports.borrow().table_revision, revision);
    assert_eq!(get(lb.address, "/").await.text(), "a");
    older.control_plane_id = "another".to_owned();
    lb.control_plane.send(older);
    lb.until(|report| report.table_revision == 1).await;
    assert_eq!(get(lb.address, "/").await.text(), "b");
}

#[tokio::test]
async fn a_table_that_cannot_be_followed_changes_nothing() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    lb.change(|table| table.target_groups.clear());
    let mut reports = lb.control_plane.reports();
    for _ in 0..2 {
        within(reports.changed()).await.unwrap();
        assert_eq!(reports.borrow().table_revision, 1);
        assert_eq!(get(lb.address, "/").await.text(), "hello");
    }
    let revision = lb.change(|table| {
        let group = crate::harness::group("web", &[target("b", backend.address)]);
        table.target_groups.push(group);
    });
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.text(), "hello");
}

#[tokio::test]
async fn listeners_open_and_close_with_the_table() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut old = lb.connect().await;
    assert_eq!(old.get("/").await.status, 200);
    let new = free_address();
    let revision = lb.change(|table| table.listeners = vec![listener(new.port())]);
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(new, "/").await.text(), "hello");
    old.closed().await;
    assert!(tokio::net::TcpStream::connect(lb.address).await.is_err());
}

#[tokio::test]
async fn another_listener_on_the_same_port_has_its_own_name_and_counts() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut old = lb.connect().await;
    assert_eq!(old.get("/").await.status, 200);
    let revision = lb.change(|table| table.listeners[0].listener_arn = "another".to_owned());
    lb.until(|report| report.table_revision == revision).await;
    old.closed().await;
    assert_eq!(get(lb.address, "/").await.status, 200);
    let is_counted =
        |traffic: &lb::Traffic| traffic.arn == "another" && traffic.by_target == [0, 1, 0, 0, 0];
    lb.until(|report| report.listeners.iter().all(is_counted))
        .await;
}

#[tokio::test]
async fn a_listener_that_cannot_open_holds_the_revision_back_until_it_can() {
    let backend = Backend::text("hello").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| table.listeners.push(listener(port.port())));
    let mut reports = lb.control_plane.reports();
    for _ in 0..3 {
        within(reports.changed()).await.unwrap();
        assert_eq!(reports.borrow().table_revision, 1);
    }
    assert_eq!(get(lb.address, "/").await.text(), "hello");
    drop(taken);
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(port, "/").await.text(), "hello");
}

#[tokio::test]
async fn a_report_comes_before_any_table() {
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let (_reports, stop, task) = spawn(config(directory.path()), control_plane.source());
    let mut reports = control_plane.reports();
    let first = within(reports.wait_for(|report| !report.node_id.is_empty()))
        .await
        .unwrap()
        .clone();
    assert_eq!((first.node_id.len(), first.table_revision), (32, 0));
    stop.cancel();
    within(task).await.unwrap().unwrap();
}
