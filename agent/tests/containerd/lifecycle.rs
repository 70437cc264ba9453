//! What a task lives through, in ECS's words.

use std::os::unix::fs::PermissionsExt;

use roadstead_client::proto::agent::OpenLogs;
use roadstead_client::proto::ecs::{ContainerDefinition, KeyValuePair};

use crate::instance::{Instance, get, until};
use crate::tasks::{container, health_check, id, port, stopped, task, web};

#[tokio::test]
async fn a_task_runs_is_reached_by_its_port_and_stops_when_asked() {
    let instance = Instance::start().await;
    let desired = task(1, vec![web()]);
    instance.control_plane.desire(vec![desired.clone()]);
    let running = instance.control_plane.status(&id(1), "RUNNING").await;
    let binding = &running.containers[0].port_bindings[0];
    assert_eq!((binding.container_port, &*binding.protocol), (80, "tcp"));
    let first_port = u32::from(instance.first_port);
    assert!((first_port..first_port + 100).contains(&binding.host_port));
    assert!(running.containers[0].image_digest.starts_with("sha256:"));
    let expected = Some(format!("{}-0", &id(1)[..12]));
    for address in ["127.0.0.1", &own_address()] {
        until("reached", || get(address, binding.host_port) == expected).await;
    }
    instance.control_plane.desire(vec![stopped(&desired)]);
    let stopped = instance.control_plane.status(&id(1), "STOPPED").await;
    assert_eq!(stopped.containers[0].exit_code, Some(143));
    assert_eq!((&*stopped.stop_code, &*stopped.stopped_reason), ("", ""));
    until("refused", || get("127.0.0.1", binding.host_port).is_none()).await;
    instance.control_plane.desire(vec![]);
    instance.control_plane.gone(&id(1)).await;
    assert!(
        instance.pids(&format!("{}-0", id(1))).is_empty(),
        "a process outlives its task"
    );
    instance.remove().await;
}

#[tokio::test]
async fn a_task_says_why_it_stopped() {
    let instance = Instance::start().await;
    let own = |change: fn(&mut ContainerDefinition)| {
        let mut container = container("one", "exit 3");
        change(&mut container);
        container
    };
    instance.control_plane.desire(vec![
        task(1, vec![container("one", "exit 3")]),
        task(2, vec![container("one", "exec tail /dev/zero")]),
        task(
            3,
            vec![own(|c| c.image = Some("127.0.0.1:1/nothing:v1".into()))],
        ),
        task(
            4,
            vec![own(|c| c.command = vec!["/no/such/program".into()])],
        ),
        task(5, vec![own(|c| c.user = Some("nobody-here".into()))]),
    ]);
    let essential = "Essential container in task exited";
    let first = instance.control_plane.status(&id(1), "STOPPED").await;
    assert_eq!(first.stop_code, "EssentialContainerExited");
    assert_eq!(first.stopped_reason, essential);
    assert_eq!(first.containers[0].exit_code, Some(3));
    assert!(first.execution_stopped_at >= first.started_at && first.started_at > 0);

    let memory = instance.control_plane.status(&id(2), "STOPPED").await;
    assert_eq!(memory.stopped_reason, essential);
    assert_eq!(memory.containers[0].exit_code, Some(137));
    assert_eq!(
        memory.containers[0].reason,
        "OutOfMemoryError: Container killed due to memory usage"
    );

    for (number, reason) in [
        (3, "CannotPullContainerError: "),
        (4, "CannotStartContainerError: "),
        (
            5,
            "CannotCreateContainerError: unable to find user nobody-here",
        ),
    ] {
        let failed = instance.control_plane.status(&id(number), "STOPPED").await;
        assert_eq!(failed.stop_code, "TaskFailedToStart");
        assert!(failed.stopped_reason.starts_with(reason), "{failed:#?}");
        assert_eq!(failed.containers[0].reason, failed.stopped_reason);
        assert_eq!(failed.started_at, 0);
    }
    instance.remove().await;
}

#[tokio::test]
async fn a_container_gets_what_its_definition_says() {
    let instance = Instance::start().await;
    let script = "echo $FROM_IMAGE $OWN; id -u; id -g; cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
                  /sys/fs/cgroup/memory.max; cat /etc/resolv.conf >&2; sleep 600";
    let mut definition = container("one", script);
    definition.user = Some("web".into());
    definition.environment = vec![KeyValuePair {
        name: Some("OWN".into()),
        value: Some("two words".into()),
    }];
    let static_port = i32::from(instance.first_port) + 99;
    let mut desired = task(1, vec![definition, web()]);
    desired.containers[1].port_mappings = vec![port(80, static_port)];
    desired.cpu_units = 512;
    desired.memory_mib = 128;
    instance.control_plane.desire(vec![desired]);
    let running = instance.control_plane.status(&id(1), "RUNNING").await;
    let host_port = running.containers[1].port_bindings[0].host_port;
    assert_eq!(i32::try_from(host_port).unwrap(), static_port);
    until("reached", || get("127.0.0.1", host_port).is_some()).await;
    instance.control_plane.open_logs(OpenLogs {
        request_id: "r1".into(),
        task_id: id(1),
        container: "one".into(),
        follow: true,
        tail: 0,
    });
    assert_eq!(instance.control_plane.next_push().await.request_id, "r1");
    let mut lines = Vec::new();
    while lines.len() < 4 {
        let push = instance.control_plane.next_push().await;
        if push.stream == "stdout" {
            lines.push(push.message);
        }
    }
    assert_eq!(lines, ["yes two words", "33", "44", "33554432"]);
    instance.remove().await;
}

#[tokio::test]
async fn a_container_that_does_not_listen_is_killed() {
    let instance = Instance::start().await;
    let mut deaf = container("deaf", "trap '' TERM; while true; do sleep 1; done");
    deaf.stop_timeout = Some(1);
    let desired = task(1, vec![deaf]);
    instance.control_plane.desire(vec![desired.clone()]);
    instance.control_plane.status(&id(1), "RUNNING").await;
    instance.control_plane.desire(vec![stopped(&desired)]);
    let stopped = instance.control_plane.status(&id(1), "STOPPED").await;
    assert_eq!(stopped.containers[0].exit_code, Some(137));
    assert_eq!(stopped.containers[0].reason, "");
    instance.remove().await;
}

#[tokio::test]
async fn a_health_check_decides_on_the_task_s_health() {
    let instance = Instance::start().await;
    let mut healthy = container("one", "sleep 600");
    healthy.health_check = Some(health_check("true"));
    let mut sick = container("one", "sleep 600");
    sick.health_check = Some(health_check("test -e /nothing"));
    instance
        .control_plane
        .desire(vec![task(1, vec![healthy]), task(2, vec![sick])]);
    for (number, health) in [(1, "HEALTHY"), (2, "UNHEALTHY")] {
        let task = instance
            .control_plane
            .task(&id(number), |task| task.health_status == health)
            .await;
        assert_eq!(task.last_status, "RUNNING");
        assert_eq!(task.containers[0].health_status, health);
    }
    instance.remove().await;
}

#[tokio::test]
async fn a_log_is_read_from_its_tail_and_followed_to_its_end() {
    let instance = Instance::start().await;
    let script =
        "echo one; echo two; echo three >&2; until test -e /tmp/go; do sleep 0.1; done; echo last";
    let desired = task(1, vec![container("one", script)]);
    instance.control_plane.desire(vec![desired.clone()]);
    instance.control_plane.status(&id(1), "RUNNING").await;
    let log = instance
        .config
        .data_dir
        .join("tasks")
        .join(id(1))
        .join("0/log");
    until("logged", || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .count()
            == 3
    })
    .await;
    instance.control_plane.open_logs(OpenLogs {
        request_id: "r1".into(),
        task_id: id(1),
        container: String::new(),
        follow: true,
        tail: 1,
    });
    assert_eq!(instance.control_plane.next_push().await.request_id, "r1");
    let line = instance.control_plane.next_push().await;
    assert_eq!((&*line.stream, &*line.message), ("stderr", "three"));
    let pid = &instance.pids(&format!("{}-0", id(1)))[0];
    std::fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    let line = instance.control_plane.next_push().await;
    assert_eq!((&*line.stream, &*line.message), ("stdout", "last"));
    assert!(line.timestamp > 0);
    instance.remove().await;
}

#[tokio::test]
async fn the_log_of_a_crashed_task_can_be_read_after_the_task_has_left() {
    let mut instance = Instance::start().await;
    let crashing = container("one", "echo why; exit 3");
    instance.control_plane.desire(vec![task(1, vec![crashing])]);
    instance.control_plane.status(&id(1), "STOPPED").await;
    instance.control_plane.desire(vec![]);
    instance.control_plane.gone(&id(1)).await;
    let directory = instance.config.data_dir.join("tasks").join(id(1));
    let record = std::fs::metadata(directory.join("record.json")).unwrap();
    assert_eq!(record.permissions().mode() & 0o777, 0o600);
    // An agent that starts later finds it too.
    instance.kill_agent();
    instance.control_plane.forget();
    instance.control_plane.desire(vec![task(2, vec![web()])]);
    instance.start_agent();
    instance.control_plane.status(&id(2), "RUNNING").await;
    instance.control_plane.gone(&id(1)).await;
    instance.control_plane.open_logs(OpenLogs {
        request_id: "r1".into(),
        task_id: id(1),
        container: String::new(),
        follow: true,
        tail: 0,
    });
    assert_eq!(instance.control_plane.next_push().await.request_id, "r1");
    assert_eq!(instance.control_plane.next_push().await.message, "why");
    instance.remove().await;
}

#[tokio::test]
async fn more_tasks_than_fit_into_four_mebibytes_are_taken_in() {
    let instance = Instance::start().await;
    let large = |number| {
        let mut container = container("one", "true");
        container.environment = vec![KeyValuePair {
            name: Some("LARGE".into()),
            value: Some("x".repeat(256 << 10)),
        }];
        stopped(&task(number, vec![container]))
    };
    instance.control_plane.desire((1..=20).map(large).collect());
    for number in 1..=20 {
        instance.control_plane.status(&id(number), "STOPPED").await;
    }
    instance.remove().await;
}

/// An address of this machine that is not loopback: a client from outside comes by one.
fn own_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: connecting only chooses the source address.
    match socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr())
    {
        Ok(address) => address.ip().to_string(),
        Err(_) => "127.0.0.1".to_owned(),
    }
}
