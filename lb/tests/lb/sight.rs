//! What an operator sees: metrics, the access log, and the traces that pass through.

use roadstead_lb::{AccessLogFormat, Config};
use roadstead_proto::lb;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Backend, Connection, Lb, free_address, get, target, text, within};

/// Waits for a page of metrics on which a line begins like this; returns the rest of the line.
pub(crate) async fn metric(address: std::net::SocketAddr, series: &str) -> String {
    let scrape = async {
        loop {
            let page = get(address, "/metrics").await;
            let mut lines = page.text().lines();
            if let Some(value) = lines.find_map(|line| line.strip_prefix(series)) {
                return value.trim().to_owned();
            }
        }
    };
    within(scrape).await
}

#[tokio::test]
async fn every_answer_is_counted_for_its_listener_target_group_and_target() {
    let backend = Backend::text("hello").await;
    let metrics = free_address();
    let change = |config: &mut Config| config.metrics = Some(metrics);
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    for _ in 0..3 {
        assert_eq!(get(lb.address, "/").await.status, 200);
    }
    let (port, to) = (lb.address.port(), backend.address);
    let own = "by=\"target\",code=\"2xx\"";
    for (series, value) in [
        (
            format!("roadstead_lb_listener_answers_total{{listener=\"{port}\",{own}}} 3"),
            "",
        ),
        (
            format!("roadstead_lb_target_group_answers_total{{target_group=\"web\",{own}}} 3"),
            "",
        ),
        (
            format!(
                "roadstead_lb_target_answers_total{{target_group=\"web\",target=\"{to}\",{own}}} 3"
            ),
            "",
        ),
        (
            format!("roadstead_lb_listener_answer_seconds_count{{listener=\"{port}\"}}"),
            "3",
        ),
        (
            format!(
                "roadstead_lb_listener_answer_seconds_bucket{{listener=\"{port}\",le=\"+Inf\"}}"
            ),
            "3",
        ),
        (
            format!("roadstead_lb_listener_connections_total{{listener=\"{port}\"}}"),
            "3",
        ),
        (
            format!("roadstead_lb_listener_sent_bytes_total{{listener=\"{port}\"}} 15"),
            "",
        ),
        (
            format!("roadstead_lb_target_healthy{{target_group=\"web\",target=\"{to}\"}}"),
            "1",
        ),
        ("roadstead_lb_table_revision".to_owned(), "1"),
        ("roadstead_lb_requests_under_way".to_owned(), "0"),
    ] {
        assert_eq!(metric(metrics, &series).await, value, "{series}");
    }
    assert_eq!(get(metrics, "/").await.status, 404);
}

#[tokio::test]
async fn what_the_load_balancer_answers_itself_is_counted_apart() {
    let metrics = free_address();
    let change = |config: &mut Config| config.metrics = Some(metrics);
    let lb = Lb::start_with(&[target("gone", free_address())], change).await;
    assert_eq!(get(lb.address, "/").await.status, 502);
    let port = lb.address.port();
    let own = format!(
        "roadstead_lb_listener_answers_total{{listener=\"{port}\",by=\"load_balancer\",code=\"5xx\"}}"
    );
    assert_eq!(metric(metrics, &own).await, "1");
    let failed = "roadstead_lb_target_group_failed_requests_total{target_group=\"web\"}";
    assert_eq!(metric(metrics, failed).await, "1");
}

#[tokio::test]
async fn what_was_counted_goes_on_with_a_new_table() {
    let backend = Backend::text("hello").await;
    let metrics = free_address();
    let change = |config: &mut Config| config.metrics = Some(metrics);
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    assert_eq!(get(lb.address, "/").await.status, 200);
    lb.retarget(&[target("b", backend.address), target("c", backend.address)])
        .await;
    assert_eq!(get(lb.address, "/").await.status, 200);
    let series = "roadstead_lb_target_group_answer_seconds_count{target_group=\"web\"}";
    assert_eq!(metric(metrics, series).await, "2");
}

#[tokio::test]
async fn a_report_has_what_targets_do_and_what_their_last_probe_came_to() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    lb.change(|table| table.target_groups[0].health_check = Some(lb::HealthCheck::default()));
    assert_eq!(get(lb.address, "/").await.status, 200);
    let told = |target: &lb::TargetReport| target.answered == 1 && !target.last_probe.is_empty();
    let report = lb.until(|report| report.targets.iter().any(told)).await;
    let probe = &report.targets[0].last_probe;
    assert!(
        probe.starts_with("200 in ") && probe.ends_with(" ms"),
        "{probe}"
    );
    assert_eq!(report.target_groups[0].by_target, [0, 1, 0, 0, 0]);
    assert_eq!(report.listeners[0].name, lb.address.port().to_string());
    let buckets = &report.target_groups[0].buckets;
    assert_eq!(buckets.len(), report.bucket_bounds.len() + 1);
}

const LOG: &str = "access.log";

/// Waits for the first line of a log.
async fn first_line(directory: &TempDir) -> String {
    let log = directory.path().join(LOG);
    let look = async {
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some((line, _rest)) = text.split_once('\n') {
                return line.to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    within(look).await
}

async fn logged(format: AccessLogFormat) -> (Lb, Backend, TempDir) {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOG);
    let change = move |config: &mut Config| {
        config.access_log = Some(path);
        config.access_log_format = format;
    };
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    (lb, backend, directory)
}

const TRACED: &str = "POST /a?b=c HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\nX-Amzn-Trace-Id: Root=1-2-3\r\n\
    traceparent: 00-1-2-01\r\nContent-Length: 4\r\n\r\nbody";

#[tokio::test]
async fn a_line_of_json_tells_how_a_request_fared() {
    let (lb, backend, directory) = logged(AccessLogFormat::Json).await;
    let mut connection = Connection::open(lb.address).await;
    connection.send(TRACED).await;
    assert_eq!(connection.answer().await.status, 200);
    let line: serde_json::Value = serde_json::from_str(&first_line(&directory).await).unwrap();
    for (field, value) in [
        ("type", "http".into()),
        ("protocol", "HTTP/1.1".into()),
        ("method", "POST".into()),
        ("host", "shop.example".into()),
        ("path", "/a?b=c".into()),
        ("user_agent", "test".into()),
        ("rule", 0.into()),
        ("action", "forward".into()),
        ("target_group", "web".into()),
        ("target", backend.address.to_string().into()),
        ("status", 200.into()),
        ("target_status", 200.into()),
        ("bytes_received", 4.into()),
        ("bytes_sent", 5.into()),
        ("trace_id", "Root=1-2-3".into()),
        ("traceparent", "00-1-2-01".into()),
        ("tls_protocol", serde_json::Value::Null),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert!(line["target_ms"].as_f64() <= line["duration_ms"].as_f64());
}

#[tokio::test]
async fn a_refused_request_has_the_rule_in_its_line_by_which_it_came_there() {
    let (mut lb, _backend, directory) = logged(AccessLogFormat::Json).await;
    let revision = lb.change(|table| table.target_groups[0].protocol_version = "GRPC".to_owned());
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.status, 464);
    let line: serde_json::Value = serde_json::from_str(&first_line(&directory).await).unwrap();
    for (field, value) in [
        ("rule", 0.into()),
        ("action", "forward".into()),
        ("status", 464.into()),
        ("target", serde_json::Value::Null),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
}

/// Waits until the log has so many lines, and returns the last.
async fn line(directory: &TempDir, number: usize) -> serde_json::Value {
    let log = directory.path().join(LOG);
    let look = async {
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(line) = text
                .split_inclusive('\n')
                .nth(number)
                .filter(|line| line.ends_with('\n'))
            {
                return serde_json::from_str(line).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    within(look).await
}

#[tokio::test]
async fn a_line_says_why_there_is_no_answer_of_a_target_and_so_does_a_metric() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOG);
    let metrics = free_address();
    let mut lb = Lb::start_with(&[], |config| {
        config.access_log = Some(path);
        config.metrics = Some(metrics);
        config.target_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let closes = Backend::raw(|mut stream, _| async move {
        drop(stream.read(&mut [0; 1024]).await);
    })
    .await;
    let nonsense = Backend::raw(|mut stream, _| async move {
        drop(stream.read(&mut [0; 1024]).await);
        drop(stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").await);
    })
    .await;
    let breaks_off = Backend::raw(|mut stream, _| async move {
        drop(stream.read(&mut [0; 1024]).await);
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                .await,
        );
    })
    .await;
    let silent = Backend::raw(|mut stream, _| async move {
        while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {}
    })
    .await;
    let cases = [
        (None, 503, "no_target"),
        (Some(free_address()), 502, "connect_failed"),
        (Some(closes.address), 502, "connection_closed"),
        (Some(nonsense.address), 502, "malformed_answer"),
        (Some(silent.address), 504, "answer_timeout"),
        (Some(breaks_off.address), 200, "answer_broken_off"),
    ];
    for (number, (address, status, error)) in cases.into_iter().enumerate() {
        let targets = address.map(|address| target(error, address));
        lb.retarget(targets.as_slice()).await;
        let mut connection = Connection::open(lb.address).await;
        connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
        let answer = connection.try_answer().await;
        assert_eq!(answer.is_some(), error != "answer_broken_off");
        let line = line(&directory, number).await;
        assert_eq!(
            (&line["status"], &line["error"]),
            (&status.into(), &error.into()),
            "{line}"
        );
        if status != 200 {
            let listener = lb.address.port();
            let series = format!(
                "roadstead_lb_listener_refusals_total{{listener=\"{listener}\",reason=\"{error}\"}}"
            );
            assert_eq!(metric(metrics, &series).await, "1");
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_a_460_or_a_reason_beside_the_status() {
    let (slow, mut arrivals, _release) = Backend::slow().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOG);
    let lb = Lb::start_with(&[target("slow", slow.address)], |config| {
        config.access_log = Some(path);
    })
    .await;
    let mut connection = Connection::open(lb.address).await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    within(arrivals.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    drop(connection);
    let line = line(&directory, 0).await;
    assert_eq!(
        (&line["status"], &line["error"]),
        (&460.into(), &"client_closed".into()),
        "{line}"
    );
}

#[tokio::test]
async fn a_line_can_be_as_alb_writes_it() {
    let (lb, backend, directory) = logged(AccessLogFormat::Alb).await;
    let mut connection = Connection::open(lb.address).await;
    connection.send(TRACED).await;
    assert_eq!(connection.answer().await.status, 200);
    let line = first_line(&directory).await;
    let (port, to) = (lb.address.port(), backend.address);
    let request =
        format!("200 200 4 5 \"POST http://shop.example:{port}/a?b=c HTTP/1.1\" \"test\" - - web");
    assert!(line.starts_with("http "), "{line}");
    assert!(line.contains(&format!(" {to} 0.0")), "{line}");
    assert!(line.contains(&request), "{line}");
    assert!(line.contains("\"Root=1-2-3\""), "{line}");
}

#[tokio::test]
async fn an_access_log_that_nobody_takes_holds_no_request_up() {
    // Beyond what its queue and a pipe hold.
    const REQUESTS: usize = 12_000;
    const AT_ONCE: usize = 500;
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join(LOG);
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Open, and never read.
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let metrics = free_address();
    let mut lb = Lb::start_with(&[], |config| {
        config.access_log = Some(pipe);
        config.metrics = Some(metrics);
        config.max_requests_per_connection = u64::MAX;
    })
    .await;
    lb.answer_itself().await;
    let mut connection = lb.connect().await;
    for _ in 0..REQUESTS / AT_ONCE {
        let request = "GET / HTTP/1.1\r\nHost: lb\r\n\r\n";
        connection.send(request.repeat(AT_ONCE)).await;
        for _ in 0..AT_ONCE {
            assert_eq!(connection.answer().await.status, 200);
        }
    }
    let lost = metric(metrics, "roadstead_lb_access_log_lost_lines_total").await;
    assert!(lost.parse::<usize>().unwrap() > 0, "{lost}");
    // Or its writer waits for ever.
    drop(reader);
}

#[tokio::test]
async fn traces_pass_through_to_the_target() {
    let backend = Backend::http(|request| async move {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        text(format!(
            "{} {}",
            header("x-amzn-trace-id"),
            header("traceparent")
        ))
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.send(TRACED).await;
    assert_eq!(connection.answer().await.text(), "Root=1-2-3 00-1-2-01");
}
