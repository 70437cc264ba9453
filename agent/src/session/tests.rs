use super::*;
use roadstead_client::proto::agent::DesiredTask;

fn session(directory: &std::path::Path) -> Session {
    let (desired, _) = watch::channel(None);
    let (_, report) = watch::channel(TaskReport::default());
    Session {
        control_plane: ControlPlane::new(vec!["unix:/nowhere".parse().unwrap()]),
        identity: Identity::load(directory).unwrap(),
        register: Register::default(),
        records: Records::open(directory.join("tasks")).unwrap(),
        desired,
        report,
        revision: 0,
    }
}

fn set(control_plane_id: &str, revision: u64) -> DesiredTasks {
    DesiredTasks {
        revision,
        control_plane_id: control_plane_id.into(),
        tasks: vec![DesiredTask::default(); usize::try_from(revision).unwrap()],
        servers: Vec::new(),
    }
}

#[test]
fn an_older_set_and_a_stranger_s_set_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = session(directory.path());
    let mut sizes = Vec::new();
    for set in [
        set("one", 3),
        set("one", 2),
        set("two", 9),
        set("one", 3),
        set("one", 4),
    ] {
        session.take(set).unwrap();
        sizes.push(session.desired.borrow().as_ref().map(|tasks| tasks.len()));
    }
    assert_eq!(sizes, [3, 3, 3, 3, 4].map(Some));
}
