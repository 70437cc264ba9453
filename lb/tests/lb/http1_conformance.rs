//! What RFC 9110 and RFC 9112 demand of an intermediary that speaks HTTP/1.1: one line is one rule, and its name says where it is.

mod bodies;
mod passed_on;
mod recorder;
mod refused;

use tokio::io::AsyncReadExt;

use crate::harness::{Backend, Connection, Lb, target, within};
use recorder::Recorder;
use refused::refused;

/// Reads until the load balancer closes; whatever it has said counts, also if the end is a reset.
async fn all_of(connection: &mut Connection) -> String {
    let mut bytes = Vec::new();
    drop(within(connection.stream.read_to_end(&mut bytes)).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Fails with all that was found, so that one run shows it all.
fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[tokio::test]
async fn what_no_target_may_get_is_refused_and_ends_its_connection() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut failures = Vec::new();
    for (name, request, status) in refused() {
        let mut connection = lb.connect().await;
        connection.send(&request).await;
        let answer = connection.head().await;
        let is_refused = answer.as_ref().is_some_and(|answer| {
            answer.status == status && answer.header("connection") == Some("close")
        });
        // A connection that stays would be waited for.
        let rest = match is_refused {
            true => all_of(&mut connection).await,
            false => String::new(),
        };
        if !is_refused || rest.contains("HTTP/1.1") {
            let start = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
            failures.push(format!("{name}: {start:?} is answered {answer:?}{rest}"));
        }
    }
    assert_none(&failures);
    assert_eq!(backend.connections(), 0);
}

/// Sends a request, and returns all of it that its target has seen; otherwise why there is nothing.
async fn passed(recorder: &mut Recorder, lb: &Lb, request: &str) -> Result<String, String> {
    let mut connection = lb.connect().await;
    connection.send(request).await;
    let answer = connection.head().await;
    if !matches!(&answer, Some(answer) if answer.status == 204) {
        return Err(format!("it is answered {answer:?}"));
    }
    Ok(recorder.next().await)
}

#[tokio::test]
async fn a_target_sees_what_a_request_says_and_nothing_of_its_connection() {
    let mut recorder = Recorder::start().await;
    let lb = Lb::start(&[target("b", recorder.address())]).await;
    let mut failures = Vec::new();
    let fields = passed_on::FIELDS.map(|(name, fields, sees)| {
        let fields = format!("Host: a\r\n{fields}\r\n\r\n").replace("\r\n\r\n\r\n", "\r\n\r\n");
        (name, format!("GET / HTTP/1.1\r\n{fields}"), sees)
    });
    let others = passed_on::OTHERS.map(|(name, request, sees)| (name, request.to_owned(), sees));
    for (name, request, sees) in fields.into_iter().chain(others) {
        match passed(&mut recorder, &lb, &request).await {
            Ok(seen) => {
                let failed = sees.iter().filter_map(|sees| sees.fails(&seen));
                failures.extend(failed.map(|failed| format!("{name}: {failed}")));
            }
            Err(failed) => failures.push(format!("{name}: {failed}")),
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn a_target_gets_the_first_line_in_the_form_that_is_for_it() {
    let mut recorder = Recorder::start().await;
    let lb = Lb::start(&[target("b", recorder.address())]).await;
    let mut failures = Vec::new();
    for (name, line, expected) in passed_on::LINES {
        let request = format!("{line}\r\nHost: a\r\n\r\n");
        let seen = passed(&mut recorder, &lb, &request).await;
        let is_expected = seen.as_ref().is_ok_and(|seen| {
            seen.starts_with(&format!("{expected}\r\n")) && seen.matches("host: a\r\n").count() == 1
        });
        if !is_expected {
            failures.push(format!("{name}: {seen:?}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn a_target_gets_the_whole_body_in_a_framing_of_its_own() {
    let mut recorder = Recorder::start().await;
    let lb = Lb::start(&[target("b", recorder.address())]).await;
    let mut failures = Vec::new();
    for (name, fields, body, sees, expected) in bodies::BODIES {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
        match passed(&mut recorder, &lb, &request).await {
            Ok(seen) => {
                let failed = sees.iter().filter_map(|sees| sees.fails(&seen));
                failures.extend(failed.map(|failed| format!("{name}: {failed}")));
                if !seen.ends_with(&format!("\r\n\r\n{expected}")) {
                    failures.push(format!("{name}: {seen:?} does not end with {expected:?}"));
                }
            }
            Err(failed) => failures.push(format!("{name}: {failed}")),
        }
    }
    for (name, head, line) in bodies::OF_OTHERS {
        let request = format!("{head}\r\nContent-Length: 2\r\n\r\nhi");
        let seen = passed(&mut recorder, &lb, &request).await;
        let is_whole = |seen: &String| seen.contains(line) && seen.ends_with("\r\n\r\nhi");
        if !seen.as_ref().is_ok_and(is_whole) {
            failures.push(format!("{name}: {seen:?}"));
        }
    }
    assert_none(&failures);
}
