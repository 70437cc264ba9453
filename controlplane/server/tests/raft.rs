//! Real raft on real disks and real sockets: what was acknowledged is there, whoever is gone.

#[path = "raft/harness.rs"]
mod harness;

use harness::{Server, three};
use roadstead_proto::ecs::{
    CreateClusterRequest, ListClustersRequest, RegisterTaskDefinitionRequest,
};

#[tokio::test]
async fn an_acknowledged_write_survives_a_restart() {
    let mut server = Server::alone();
    server.start();
    server.create_cluster("prod").await;
    server.restart().await;
    assert_eq!(server.clusters().await, ["prod"]);
}

#[tokio::test]
async fn a_log_longer_than_a_snapshot_survives_a_restart() {
    let mut server = Server::alone();
    server.config.snapshot_after = 20;
    server.start();
    for index in 0..50 {
        server.create_cluster(&format!("c{index:02}")).await;
    }
    server.wait_for_snapshot().await;
    server.restart().await;
    assert_eq!(server.clusters().await.len(), 50);
    server.create_cluster("one-more").await;
    assert_eq!(server.clusters().await.len(), 51);
}

#[tokio::test]
async fn every_server_takes_writes_and_reads_what_another_took() {
    let mut servers = three();
    for server in &mut servers {
        server.start();
    }
    for (index, server) in servers.iter().enumerate() {
        server.create_cluster(&format!("from-{index}")).await;
    }
    for server in &servers {
        assert_eq!(server.clusters().await, ["from-0", "from-1", "from-2"]);
    }
}

#[tokio::test]
async fn two_of_three_go_on_and_the_third_catches_up() {
    let mut servers = three();
    for server in &mut servers {
        server.config.snapshot_after = 10;
        server.start();
    }
    servers[0].create_cluster("before").await;
    let gone = servers[0].leader().await;
    servers[gone].stop().await;
    let stays = (gone + 1) % 3;
    for index in 0..40 {
        servers[stays].create_cluster(&format!("c{index:02}")).await;
    }
    servers[gone].start();
    assert_eq!(servers[gone].clusters().await.len(), 41);
}

#[tokio::test]
async fn a_leader_that_is_back_before_an_election_reads_all_that_it_acknowledged() {
    let mut servers = three();
    for server in &mut servers {
        server.start();
    }
    servers[0].create_cluster("before").await;
    let leader = servers[0].leader().await;
    let (behind, other) = ((leader + 1) % 3, (leader + 2) % 3);
    servers[behind].stop().await;
    // More than openraft sends at once.
    for index in 0..700 {
        servers[leader].create_cluster(&format!("c{index}")).await;
    }
    servers[leader].stop().await;
    servers[other].stop().await;
    // Nobody else can be elected: the other one's log is too short. The leader learns again what is committed, bit by bit.
    servers[leader].start();
    servers[behind].start();
    assert!(servers[leader].has_cluster("c699").await);
}

#[tokio::test]
async fn a_server_without_a_quorum_refuses_instead_of_guessing() {
    let mut servers = three();
    for server in &mut servers {
        server.start();
    }
    servers[0].create_cluster("before").await;
    servers[1].stop().await;
    servers[2].stop().await;
    let mut client = servers[0].client().await;
    let refused = client
        .list_clusters(ListClustersRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    let request = CreateClusterRequest {
        cluster_name: Some("after".into()),
    };
    let refused = client.create_cluster(request).await.unwrap_err();
    // Not "perhaps": a leader that nobody answers proposes nothing.
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("quorum"), "{refused:?}");
}

#[tokio::test]
async fn a_refused_request_names_the_field_and_the_exception() {
    let mut server = Server::alone();
    server.start();
    server.create_cluster("prod").await;
    let request = RegisterTaskDefinitionRequest {
        family: Some("web".into()),
        network_mode: Some("awsvpc".into()),
        ..RegisterTaskDefinitionRequest::default()
    };
    let refused = server
        .client()
        .await
        .register_task_definition(request)
        .await
        .unwrap_err();
    assert!(refused.message().contains("networkMode"), "{refused:?}");
    let exception = refused.metadata().get("roadstead-error").unwrap();
    assert_eq!(exception.to_str().unwrap(), "ClientException");
}
