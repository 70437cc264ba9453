use super::*;

fn check(start_period: u64) -> Check {
    Check {
        command: vec!["true".into()],
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        retries: 3,
        start_period: Duration::from_secs(start_period),
    }
}

#[test]
fn the_first_probe_does_not_wait_for_an_interval() {
    let now = Instant::now();
    assert_eq!(Health::new(now).due(), Some(now + FIRST_PROBE));
}

#[test]
fn failures_in_the_first_interval_do_not_count_and_space_out() {
    let start = Instant::now();
    let mut health = Health::new(start);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let now = health.due().unwrap();
        health.observe(&check(0), false, now);
        pauses.push(health.due().unwrap() - now);
    }
    assert_eq!(pauses, [2, 4, 8].map(Duration::from_secs));
    assert_eq!((health.status, health.failures), (Status::Unknown, 0));
}

#[test]
fn retries_failures_in_a_row_make_it_unhealthy_and_one_success_heals() {
    let start = Instant::now();
    let mut health = Health::new(start);
    let mut now = start + Duration::from_secs(10);
    for expected in [Status::Unknown, Status::Unknown, Status::Unhealthy] {
        health.observe(&check(0), false, now);
        assert_eq!(health.status, expected);
        assert_eq!(health.due(), Some(now + Duration::from_secs(10)));
        now += Duration::from_secs(10);
    }
    health.observe(&check(0), true, now);
    assert_eq!((health.status, health.failures), (Status::Healthy, 0));
}

#[test]
fn failures_in_the_start_period_do_not_count_until_a_success_ends_it() {
    let start = Instant::now();
    let mut health = Health::new(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    health.observe(&check(60), false, at(20));
    health.observe(&check(60), false, at(30));
    assert_eq!(health.failures, 0);
    health.observe(&check(60), true, at(40));
    health.observe(&check(60), false, at(50));
    assert_eq!((health.status, health.failures), (Status::Healthy, 1));
}

#[test]
fn an_adopted_container_keeps_its_status_and_its_age() {
    let now = Instant::now();
    let mut health = Health::new(now);
    health.observe(&check(0), true, now);
    let text = serde_json::to_string(&health).unwrap();
    let mut kept: Health = serde_json::from_str(&text).unwrap();
    assert_eq!(kept.due(), None);
    kept.resume(now, Duration::from_secs(3));
    assert_eq!((kept.status, kept.due()), (Status::Healthy, Some(now)));
}

#[test]
fn a_check_has_the_defaults_of_ecs() {
    let definition = HealthCheck {
        command: vec!["CMD-SHELL".into(), "exit 0".into()],
        ..HealthCheck::default()
    };
    let check = Check::of(&definition).unwrap();
    assert_eq!(check.command, ["/bin/sh", "-c", "exit 0"]);
    assert_eq!(check.interval, Duration::from_secs(30));
    assert_eq!((check.timeout, check.retries), (Duration::from_secs(5), 3));
    assert_eq!(check.start_period, Duration::ZERO);
}

#[test]
fn a_check_without_a_command_is_no_check() {
    for command in [vec![], vec!["NONE"], vec!["CMD"]] {
        let definition = HealthCheck {
            command: command.into_iter().map(str::to_owned).collect(),
            ..HealthCheck::default()
        };
        assert_eq!(Check::of(&definition), None);
    }
}

#[test]
fn a_task_is_as_healthy_as_its_worst_essential_container() {
    use Status::{Healthy, Unhealthy, Unknown};
    let of = |list: &[(bool, Status)]| of_task(list.iter().copied());
    assert_eq!(of(&[]), Unknown);
    assert_eq!(of(&[(true, Healthy)]), Healthy);
    assert_eq!(of(&[(true, Healthy), (true, Unknown)]), Unknown);
    assert_eq!(of(&[(true, Unknown), (true, Unhealthy)]), Unhealthy);
    assert_eq!(of(&[(true, Healthy), (false, Unhealthy)]), Healthy);
}
