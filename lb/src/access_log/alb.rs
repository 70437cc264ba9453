//! A line as ALB writes it ("Access logs for your Application Load Balancer", the log entry's syntax).
//!
//! Every field is there, in ALB's order, so that what reads ALB's logs reads these. Of sizes, those of bodies alone are
//! known; `chosen_cert_arn`, `error_reason`, the two of classification and `conn_trace_id` are always `-`.

use std::fmt::Write as _;
use std::time::Duration;

use super::line::Line;

/// Returns the line, without its end.
pub(super) fn text(line: &Line) -> String {
    let created = humantime::format_rfc3339_micros(line.time);
    let answered = humantime::format_rfc3339_micros(line.time + line.duration);
    let status_or = |status: Option<u16>| status.map_or_else(dash, |status| status.to_string());
    let target = line.target.map_or_else(dash, |target| target.to_string());
    let scheme = match line.kind {
        "http" | "ws" => "http",
        _ => "https",
    };
    let url = match line.host.rsplit_once(':') {
        // A whole address, or the asterisk of OPTIONS.
        _ if !line.path.starts_with('/') => line.path.clone(),
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{scheme}://{}{}", line.host, line.path)
        }
        Some(_) | None => format!(
            "{scheme}://{}:{}{}",
            line.host, line.listener_port, line.path
        ),
    };
    let request = format!("{} {url} {}", line.method, line.protocol);
    let dispatched = line.target_took.map(|_took| Duration::ZERO);
    let rule = line.rule.map_or(-1, i64::from);
    let mut text = String::with_capacity(512);
    // Writing to a string does not fail.
    let _written = write!(
        text,
        "{} {answered} {} {}:{} {target} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {rule} \
         {created} {} {} \"-\" {} {} \"-\" \"-\" -",
        line.kind,
        load_balancer(&line.listener),
        line.client,
        line.client_port,
        seconds(line.waited),
        seconds(line.target_took),
        seconds(dispatched),
        line.status,
        status_or(line.target_status),
        line.bytes_received,
        line.bytes_sent,
        quoted(Some(&request)),
        quoted(line.user_agent.as_deref()),
        line.tls_cipher.as_deref().unwrap_or("-"),
        line.tls_protocol.as_deref().unwrap_or("-"),
        line.target_group.as_deref().unwrap_or("-"),
        quoted(line.trace_id.as_deref()),
        quoted(line.server_name.as_deref()),
        quoted(None),
        quoted(line.action),
        quoted(line.redirect.as_deref()),
        quoted(Some(&target)),
        quoted(Some(&status_or(line.target_status))),
    );
    text
}

fn dash() -> String {
    "-".to_owned()
}

/// `arn:…:listener/app/NAME/ID/ID`: ALB has `app/NAME/ID` of it.
fn load_balancer(listener: &str) -> &str {
    let path = listener.split_once("listener/").map(|(_, path)| path);
    let owner = path.and_then(|path| path.rsplit_once('/'));
    owner.map_or(listener, |(owner, _)| owner)
}

/// With milliseconds; -1 for what did not happen.
fn seconds(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "-1".to_owned(),
        |duration| format!("{:.3}", duration.as_secs_f64()),
    )
}

/// What is not printable, or would end the quotation, is written as `\xNN`.
fn quoted(text: Option<&str>) -> String {
    let mut quoted = String::from("\"");
    for byte in text.unwrap_or("-").bytes() {
        match byte {
            b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' => quoted.push(char::from(byte)),
            other => {
                let _written = write!(quoted, "\\x{other:02x}");
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn line() -> Line {
        Line {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            client: [192, 0, 2, 1].into(),
            client_port: 50_000,
            listener_port: 443,
            kind: "h2",
            protocol: "HTTP/2.0".into(),
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/a?b=\"c\"".into(),
            user_agent: Some("curl/8".into()),
            rule: Some(10),
            action: Some("forward"),
            redirect: None,
            target_group: Some(Arc::from("arn:tg")),
            target: Some(([10, 0, 0, 1], 8080).into()),
            attempts: 1,
            status: 200,
            error: None,
            target_status: Some(200),
            bytes_received: 3,
            bytes_sent: 4,
            duration: Duration::from_millis(250),
            waited: Some(Duration::from_millis(1)),
            target_took: Some(Duration::from_millis(200)),
            tls_protocol: Some("TLSv1.3".into()),
            tls_cipher: Some("TLS_AES_128_GCM_SHA256".into()),
            server_name: Some("shop.example".into()),
            trace_id: Some("Root=1-2-3".into()),
            traceparent: None,
            listener: "arn:aws:elasticloadbalancing:local:0:listener/app/shop/1/2".into(),
        }
    }

    #[test]
    fn a_request_is_written_in_alb_s_order() {
        assert_eq!(
            text(&line()),
            "h2 2023-11-14T22:13:20.373000Z app/shop/1 192.0.2.1:50000 10.0.0.1:8080 0.001 0.200 0.000 \
             200 200 3 4 \"GET https://shop.example:443/a?b=\\x22c\\x22 HTTP/2.0\" \"curl/8\" \
             TLS_AES_128_GCM_SHA256 TLSv1.3 arn:tg \"Root=1-2-3\" \"shop.example\" \"-\" 10 \
             2023-11-14T22:13:20.123000Z \"forward\" \"-\" \"-\" \"10.0.0.1:8080\" \"200\" \"-\" \"-\" -"
        );
    }

    #[test]
    fn what_did_not_happen_is_a_dash_or_minus_one() {
        let line = Line {
            kind: "http",
            host: "shop.example:8080".into(),
            rule: None,
            target: None,
            target_group: None,
            target_status: None,
            waited: None,
            target_took: None,
            status: 503,
            ..line()
        };
        let text = text(&line);
        assert!(
            text.contains(" 192.0.2.1:50000 - -1 -1 -1 503 - "),
            "{text}"
        );
        assert!(text.contains("http://shop.example:8080/a"), "{text}");
    }
}
