//! Containers outlive whoever looks after them.

use roadstead_client::proto::agent::DesiredTasks;
use roadstead_client::proto::agent::agent_instruction::Instruction;

use crate::instance::{Instance, get, until};
use crate::tasks::{container, id, stopped, task, web};

#[tokio::test]
async fn containers_outlive_a_killed_agent_and_are_adopted() {
    let mut instance = Instance::start().await;
    let tasks = vec![
        task(1, vec![web()]),
        task(2, vec![container("one", "sleep 600")]),
    ];
    instance.control_plane.desire(tasks.clone());
    let before = instance.control_plane.status(&id(1), "RUNNING").await;
    instance.control_plane.status(&id(2), "RUNNING").await;
    let port = before.containers[0].port_bindings[0].host_port;
    until("reached", || get("127.0.0.1", port).is_some()).await;
    let name = format!("{}-0", id(1));
    let pid = instance.pids(&name)[0].clone();
    let registered = instance.control_plane.registered.lock().unwrap().clone();

    instance.kill_agent();
    instance.control_plane.forget();
    assert!(get("127.0.0.1", port).is_some(), "the port is gone");
    // While nobody looks, one of them ends.
    let other = &instance.pids(&format!("{}-0", id(2)))[0];
    std::process::Command::new("kill")
        .args(["-9", other])
        .status()
        .unwrap();
    instance.start_agent();

    let after = instance.control_plane.status(&id(1), "RUNNING").await;
    assert_eq!(after, before);
    assert_eq!(instance.pids(&name)[0], pid);
    assert!(get("127.0.0.1", port).is_some(), "the port is gone");
    let ended = instance.control_plane.status(&id(2), "STOPPED").await;
    assert_eq!(ended.containers[0].exit_code, Some(137));
    assert_eq!(ended.containers[0].reason, "");
    let again = instance.control_plane.registered.lock().unwrap().clone();
    assert_eq!(again, registered);

    instance.control_plane.desire(vec![stopped(&tasks[0])]);
    let ended = instance.control_plane.status(&id(1), "STOPPED").await;
    assert_eq!(ended.containers[0].exit_code, Some(143));
    instance.remove().await;
}

#[tokio::test]
async fn containers_outlive_a_killed_containerd() {
    let instance = Instance::start().await;
    let first = task(1, vec![web()]);
    instance.control_plane.desire(vec![first.clone()]);
    let before = instance.control_plane.status(&id(1), "RUNNING").await;
    let port = before.containers[0].port_bindings[0].host_port;
    until("reached", || get("127.0.0.1", port).is_some()).await;
    let name = format!("{}-0", id(1));
    let pid = instance.pids(&name)[0].clone();

    instance.kill_containerd();
    let second = task(2, vec![container("one", "sleep 600")]);
    instance
        .control_plane
        .desire(vec![first.clone(), second.clone()]);
    let started = instance.control_plane.status(&id(2), "RUNNING").await;
    assert_eq!(started.stopped_reason, "");
    assert_eq!(instance.pids(&name)[0], pid);
    assert!(get("127.0.0.1", port).is_some(), "the port is gone");

    instance
        .control_plane
        .desire(vec![stopped(&first), stopped(&second)]);
    for number in [1, 2] {
        let ended = instance.control_plane.status(&id(number), "STOPPED").await;
        assert!(ended.containers[0].exit_code.is_some(), "{ended:#?}");
    }
    instance.remove().await;
}

#[tokio::test]
async fn a_task_that_ran_once_is_not_run_again() {
    let instance = Instance::start().await;
    let mut lost = task(1, vec![container("one", "sleep 600")]);
    lost.known_status = "RUNNING".into();
    instance.control_plane.desire(vec![lost]);
    let lost = instance.control_plane.status(&id(1), "STOPPED").await;
    assert_eq!(lost.containers[0].runtime_id, "");
    assert!(lost.stopped_reason.contains("lost the task"), "{lost:#?}");
    instance.remove().await;
}

#[tokio::test]
async fn sets_from_the_past_and_from_strangers_are_refused() {
    let instance = Instance::start().await;
    let running = task(1, vec![container("one", "sleep 600")]);
    instance.control_plane.desire(vec![running.clone()]);
    instance.control_plane.status(&id(1), "RUNNING").await;
    let revision = instance.control_plane.revision();
    let send = |control_plane_id: &str, revision, tasks| {
        let set = DesiredTasks {
            revision,
            control_plane_id: control_plane_id.into(),
            tasks,
            servers: Vec::new(),
        };
        instance.control_plane.send(Instruction::Desired(set));
    };
    send("stranger", revision + 10, vec![]);
    send("test", revision - 1, vec![]);
    // Both went before this one on the same stream.
    let second = task(2, vec![container("one", "sleep 600")]);
    send("test", revision + 1, vec![running, second]);
    instance.control_plane.status(&id(2), "RUNNING").await;
    instance.control_plane.status(&id(1), "RUNNING").await;
    instance.remove().await;
}

#[tokio::test]
async fn nothing_is_left_though_the_pid_of_containerd_is_lost() {
    let instance = Instance::start().await;
    std::fs::remove_file(instance.config.data_dir.join("containerd/pid")).unwrap();
    instance.remove().await;
}
