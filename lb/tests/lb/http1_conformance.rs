//! What RFC 9110 and RFC 9112 demand of an intermediary that speaks HTTP/1.1: one line is one rule, and its name says where it is.
//!
//! Not kept, and in none of these tables: targets are told of no proxy by `Via` (9110 7.6.3), for then some compress nothing, and ALB
//! does not either; a higher minor version is refused (9110 2.5), and so are empty elements in a list of codings (9110 5.6.1); of interim
//! answers (9110 15.2) the first 16 are passed on, as `interim.rs` shows, and never 100, which is said in the target's place (9110 10.1.1);
//! hyper passes on none of a target that speaks HTTP/2.

mod answers;
mod bodies;
mod connections;
mod passed_on;
mod recorder;
mod refused;
mod whole_answers;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Backend, Connection, Lb, body_of, request, target, text, within};
use answers::answers;
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

/// Says which rule it was, when a test waits for something in vain.
struct Rule(&'static str);

impl Drop for Rule {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the rule is {}", self.0);
        }
    }
}

/// Reads the answer that ends a connection; returns what came in its place, if it was another one, or not the last.
async fn last_is(connection: &mut Connection, status: u16) -> Result<(), String> {
    let answer = connection.head().await;
    let is_it = answer.as_ref().is_some_and(|answer| {
        // RFC 9110 15.5.6: who may not do this is told what may be done.
        let says_what_may_be = status != 405 || answer.header("allow").is_some();
        answer.status == status && answer.header("connection") == Some("close") && says_what_may_be
    });
    // A connection that stays would be waited for.
    if !is_it {
        return Err(format!("{answer:?}"));
    }
    let rest = all_of(connection).await;
    match rest.contains("HTTP/1.1") {
        true => Err(rest),
        false => Ok(()),
    }
}

#[tokio::test]
async fn what_no_target_may_get_is_refused_and_ends_its_connection() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut failures = Vec::new();
    for (name, request, status) in refused() {
        let _rule = Rule(name);
        let mut connection = lb.connect().await;
        connection.send(&request).await;
        if let Err(answer) = last_is(&mut connection, status).await {
            let start = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
            failures.push(format!("{name}: {start:?} is answered {answer}"));
        }
    }
    assert_none(&failures);
    assert_eq!(backend.connections(), 0);
}

/// Sends a request, and returns all of it that its target has seen; otherwise why there is nothing.
async fn passed(recorder: &mut Recorder, lb: &Lb, request: &str) -> Result<String, String> {
    recorder.forget();
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
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        (name, request, sees)
    });
    let others = passed_on::OTHERS.map(|(name, request, sees)| (name, request.to_owned(), sees));
    for (name, request, sees) in fields.into_iter().chain(others) {
        let _rule = Rule(name);
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
        let _rule = Rule(name);
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
        let _rule = Rule(name);
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
        let _rule = Rule(name);
        let request = format!("{head}\r\nContent-Length: 2\r\n\r\nhi");
        let seen = passed(&mut recorder, &lb, &request).await;
        let is_whole = |seen: &String| seen.contains(line) && seen.ends_with("\r\n\r\nhi");
        if !seen.as_ref().is_ok_and(is_whole) {
            failures.push(format!("{name}: {seen:?}"));
        }
    }
    assert_none(&failures);
}

/// A target that gives, to a request for `/7`, the seventh of these answers, and then ends.
async fn answering(answers: Vec<String>) -> Backend {
    let answers = std::sync::Arc::new(answers);
    Backend::raw(move |mut stream, _| {
        let answers = std::sync::Arc::clone(&answers);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if matches!(stream.read_buf(&mut head).await, Ok(0) | Err(_)) {
                    return;
                }
            }
            let path = str::from_utf8(&head).unwrap().split(' ').nth(1).unwrap();
            let number: usize = path[1..].parse().unwrap();
            stream.write_all(answers[number].as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Returns an answer without our date and the notice that the connection ends; there must be one date.
fn without_ours(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let dates = head.to_ascii_lowercase().matches("\r\ndate: ").count();
    if dates != 1 {
        return answer.to_owned();
    }
    let is_ours = |line: &&str| !line.starts_with("date: ") && *line != "connection: close";
    let lines: Vec<&str> = head.split("\r\n").filter(is_ours).collect();
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

#[tokio::test]
async fn a_client_gets_what_an_answer_says_or_that_there_is_none() {
    let cases = answers();
    let given = cases.iter().map(|case| case.answer.clone());
    let backend = answering(given.collect()).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut failures = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let _rule = Rule(case.name);
        let mut connection = lb.connect().await;
        connection.send(case.asked.request(number)).await;
        let got = without_ours(&all_of(&mut connection).await);
        if !case.gets.is(&got) {
            let (name, answer) = (case.name, &case.answer);
            failures.push(format!("{name}: {answer:?} comes as {got:?}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn an_answer_to_the_end_of_its_connection_does_not_end_with_a_reset() {
    let backend = Backend::raw(|mut stream, _| async move {
        assert!(request(&mut stream).await);
        let answer = b"HTTP/1.1 200 OK\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    // RFC 9112 8: nobody may take it for whole. The reset may have come before the answer, which then is a 502.
    let answer = all_of(&mut connection).await;
    assert!(!answer.ends_with("\r\n0\r\n\r\n"), "{answer:?}");
}

/// Sends a head, and a body when its target has the head.
async fn begun(recorder: &mut Recorder, lb: &Lb, fields: &str, body: &str) -> Connection {
    recorder.forget();
    let mut connection = lb.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    connection.send(head).await;
    recorder.next().await;
    connection.send(body).await;
    connection
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_and_never_whole_for_its_target() {
    let mut recorder = Recorder::of_parts().await;
    let lb = Lb::start(&[target("b", recorder.address())]).await;
    let mut failures = Vec::new();
    for (name, fields, body, most) in bodies::BROKEN {
        let _rule = Rule(name);
        let mut connection = begun(&mut recorder, &lb, fields, body).await;
        let answer = last_is(&mut connection, 400).await;
        let got = recorder.next().await;
        if answer.is_err() || !most.starts_with(&got) {
            failures.push(format!(
                "{name}: the target gets {got:?}, and the client {answer:?}"
            ));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_whole_for_its_target() {
    let mut recorder = Recorder::of_parts().await;
    let lb = Lb::start(&[target("b", recorder.address())]).await;
    let mut failures = Vec::new();
    for (name, fields, body, most) in bodies::SHORT {
        let _rule = Rule(name);
        drop(begun(&mut recorder, &lb, fields, body).await);
        let got = recorder.next().await;
        if !most.starts_with(&got) {
            failures.push(format!("{name}: the target gets {got:?}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told_and_nobody_else() {
    let mut recorder = Recorder::of_parts().await;
    let lb = Lb::start(&[target("b", recorder.address())]).await;
    let mut failures = Vec::new();
    for (name, head, sent, is_told) in bodies::EXPECTATIONS {
        let _rule = Rule(name);
        recorder.forget();
        let mut connection = lb.connect().await;
        connection.send(format!("{head}\r\n\r\n{sent}")).await;
        let rest = match head.contains("Content-Length") {
            true => &"hi"[sent.len()..],
            false => "",
        };
        // Whoever was told wrongly was told then.
        let head = recorder.next().await;
        let mut statuses = Vec::new();
        if is_told {
            statuses.push(connection.head().await.map(|answer| answer.status));
        }
        connection.send(rest).await;
        statuses.push(connection.head().await.map(|answer| answer.status));
        let expected = [Some(100), Some(204)];
        if statuses != expected[usize::from(!is_told)..] {
            failures.push(format!("{name}: {statuses:?}"));
            continue;
        }
        let body = recorder.next().await;
        if head.contains("expect: ") || body != format!("{sent}{rest}") {
            failures.push(format!("{name}: {head:?} {body:?}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn what_comes_on_one_connection_is_answered_in_order_and_to_its_end() {
    let backend = Backend::http(|request| async move {
        let line = format!("{} {} ", request.method(), request.uri().path());
        text([line.as_bytes(), &body_of(request).await].concat())
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut failures = Vec::new();
    for (name, requests, expected) in connections::SEQUENCES {
        let _rule = Rule(name);
        let mut connection = lb.connect().await;
        connection
            .send(format!("{requests}{}", connections::REFUSED))
            .await;
        let mut answers = Vec::new();
        while let Some(answer) = connection.try_answer().await {
            answers.push(format!("{} {}", answer.status, answer.text()));
        }
        if answers != expected {
            failures.push(format!("{name}: {answers:?}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn a_targets_connection_is_used_again_as_its_answer_lets_it() {
    let mut failures = Vec::new();
    for (name, answer, is_used_again) in connections::OF_TARGETS {
        let _rule = Rule(name);
        let backend = Backend::raw(move |mut stream, _| async move {
            while request(&mut stream).await {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let lb = Lb::start(&[target("b", backend.address)]).await;
        let mut connection = lb.connect().await;
        let first = connection.get("/").await.status;
        let second = connection.get("/").await.status;
        let is_one = backend.connections() == 1;
        if is_one != is_used_again || first != second {
            failures.push(format!(
                "{name}: {first}, {second}; one connection: {is_one}"
            ));
        }
    }
    assert_none(&failures);
}
