use expect_test::{Expect, expect};
use roadstead_client::{ControlPlane, Endpoint};

use super::*;

fn check(error: &Error, exit_code: u8, report: &Expect) {
    assert_eq!(error.exit_code(), exit_code);
    report.assert_eq(&error.report().unwrap());
}

fn refusal(exception: &'static str, message: &str) -> Error {
    let mut status = Status::invalid_argument(message);
    status
        .metadata_mut()
        .insert(EXCEPTION_METADATA, exception.parse().unwrap());
    status.into()
}

#[test]
fn a_refusal_names_its_exception_and_what_to_do() {
    check(
        &refusal("ClusterNotFoundException", "Cluster not found."),
        1,
        &expect![[r#"
            error: Cluster not found. (ClusterNotFoundException)
            hint: see `ctl cluster list`; create one with `ctl cluster create NAME`, or name another with --cluster"#]],
    );
}

#[test]
fn a_refusal_without_advice_says_only_what_was_refused() {
    check(
        &refusal(
            "InvalidParameterException",
            "count must be between 1 and 10",
        ),
        1,
        &expect!["error: count must be between 1 and 10 (InvalidParameterException)"],
    );
}

#[test]
fn an_answer_without_an_exception_is_named_by_its_code() {
    check(
        &Status::unimplemented("no such operation").into(),
        1,
        &expect!["error: no such operation (Unimplemented)"],
    );
}

#[test]
fn a_server_that_is_not_ready_counts_as_unreachable() {
    check(
        &Status::unavailable("no leader is elected at the moment; try again").into(),
        3,
        &expect![
            "error: the control plane is not ready: no leader is elected at the moment; try again"
        ],
    );
}

#[tokio::test]
async fn a_missing_certificate_is_not_mistaken_for_a_missing_control_plane() {
    let endpoint: Endpoint = "https://127.0.0.1:1".parse().unwrap();
    let error = ControlPlane::new(vec![endpoint])
        .connect()
        .await
        .unwrap_err();
    let report = Error::from(error).report().unwrap();
    assert!(
        report.contains("ctl token create") && !report.contains("hint"),
        "{report}"
    );
}

#[tokio::test]
async fn an_unreachable_control_plane_names_the_endpoint_that_was_tried() {
    let endpoint: Endpoint = "unix:/nonexistent/server.sock".parse().unwrap();
    let error = ControlPlane::new(vec![endpoint])
        .connect()
        .await
        .unwrap_err();
    check(
        &error.into(),
        3,
        &expect![[r#"
            error: cannot reach the control plane at unix:/nonexistent/server.sock: No such file or directory (os error 2)
            hint: is the control plane running? `systemctl status roadstead-controlplane` tells on a provisioned host; `ctl dev` starts one; --endpoint names another"#]],
    );
}

#[test]
fn a_failed_rollout_says_why_and_where_to_look() {
    check(
        &Error::Rollout {
            service: "web".into(),
            reason: "ECS deployment circuit breaker: tasks failed to start.".into(),
        },
        4,
        &expect![[r#"
            error: rollout of service web failed: ECS deployment circuit breaker: tasks failed to start.
            hint: see `ctl service events web` and `ctl task list --service web --desired-status STOPPED`"#]],
    );
}

#[test]
fn failures_are_listed_one_by_one() {
    let failure = |arn: &str, detail: Option<&str>| Failure {
        arn: Some(arn.into()),
        reason: Some("MISSING".into()),
        detail: detail.map(Into::into),
    };
    check(
        &Error::Failures(vec![failure("a", None), failure("b", Some("was deleted"))]),
        1,
        &expect!["error: a: MISSING; b: MISSING: was deleted"],
    );
}

#[test]
fn a_reader_that_hung_up_is_no_news() {
    let error = Error::Output(io::ErrorKind::BrokenPipe.into());
    assert_eq!(error.report(), None);
}
