use std::error::Error;

use super::*;

const SOUND: &str = r#"
[[listener]]
port = 80
[[listener.rule]]
path = ["/api/*"]
forward = { api = 9, web = 1 }
[[listener.rule]]
forward = "web"

[[target_group]]
name = "web"
targets = ["10.0.0.1:8080", "[::1]:8080"]
health_check = { path = "/health", interval = "5s", matcher = "200-299,304" }

[[target_group]]
name = "api"
protocol = "HTTPS"
health_check = false
"#;

fn read(text: &str) -> Result<lb::Table, TableFileError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.toml");
    std::fs::write(&path, text).unwrap();
    load(&path)
}

/// Returns the whole chain of errors, as the edge prints it.
fn refused(text: &str) -> String {
    let error = read(text).unwrap_err();
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    chain
}

#[test]
fn a_sound_file_becomes_a_table() {
    let table = read(SOUND).unwrap();
    let [api, web] = &table.listeners[0].rules[0].forward[..] else {
        panic!("two groups are expected");
    };
    assert_eq!((api.target_group_arn.as_str(), api.weight), ("api", 9));
    assert_eq!((web.target_group_arn.as_str(), web.weight), ("web", 1));
    let group = &table.target_groups[0];
    assert_eq!(group.targets[1].address, "::1");
    let check = group.health_check.clone().unwrap();
    // Its own default comes with the table.
    assert_eq!((check.interval_seconds, check.timeout_seconds), (5, 0));
    assert_eq!(check.success_codes.len(), 2);
    let group = &table.target_groups[1];
    assert_eq!(
        (group.protocol.as_str(), &group.health_check),
        ("HTTPS", &None)
    );
}

#[test]
fn an_unknown_key_is_named() {
    assert!(refused(&SOUND.replace("port = 80", "port = 80\ntls = true")).contains("`tls`"));
    assert!(refused(&SOUND.replace("interval", "every")).contains("`every`"));
}

#[test]
fn a_value_of_the_wrong_kind_is_named() {
    for (from, to, named) in [
        ("port = 80", "port = 800000", "port"),
        ("\"5s\"", "\"soon\"", "interval"),
        (
            "\"5s\"",
            "\"500ms\"",
            "health_check.interval must be whole seconds",
        ),
        ("200-299,304", "2xx", "health_check.matcher `2xx`"),
        ("forward = \"web\"", "forward = 7", "forward must be"),
        ("10.0.0.1:8080", "10.0.0.1", "targets"),
    ] {
        let message = refused(&SOUND.replace(from, to));
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn a_rule_that_forwards_to_nothing_is_refused() {
    let message = refused(&SOUND.replace("forward = \"web\"", "forward = \"wbe\""));
    assert!(message.contains("forwards to wbe"), "{message}");
}

#[test]
fn exactly_the_last_rule_takes_everything() {
    let message = refused(&SOUND.replace("path = [\"/api/*\"]", ""));
    assert!(message.contains("listener 80: the last rule"), "{message}");
    let message = refused(&SOUND.replace("forward = \"web\"", "forward = \"web\"\nhost = [\"a\"]"));
    assert!(message.contains("listener 80: the last rule"), "{message}");
}

#[test]
fn a_rule_has_conditions_and_one_action() {
    let rule = r#"
[[listener.rule]]
header = { x-version = ["2.*"] }
method = ["POST"]
query = ["beta=yes", "x"]
source_ip = ["10.0.0.0/8"]
redirect = { protocol = "HTTPS", port = "443", status = 301 }
[[listener.rule]]
path = ["/closed"]
fixed_response = { status = 503, body = "later" }
[[listener.rule]]
forward = "web"
"#;
    let sound = SOUND.replace("[[listener.rule]]\nforward = \"web\"\n", rule);
    let table = read(&sound).unwrap();
    let [_, moved, closed, _] = &table.listeners[0].rules[..] else {
        panic!("four rules are expected");
    };
    assert_eq!(moved.http_headers[0].patterns, ["2.*"]);
    assert_eq!(moved.query_strings[0].parameters[1].key, None);
    let redirect = moved.redirect.clone().unwrap();
    assert_eq!(
        (redirect.path.as_str(), redirect.status_code),
        ("/#{path}", 301)
    );
    assert_eq!(closed.fixed_response.clone().unwrap().status_code, 503);
    for (from, to, named) in [
        (
            "forward = \"web\"",
            "forward = \"web\"\nfixed_response = { status = 200 }",
            "exactly one",
        ),
        (
            "10.0.0.0/8",
            "10.0.0.0",
            "10.0.0.0`, which is not an address range",
        ),
        ("status = 301", "status = 200", "200"),
        ("x-version", "\"x version\"", "x version"),
        (
            "port = \"443\"",
            "port = \"https\"",
            "the port of a redirect",
        ),
        ("port = \"443\"", "path = \"new\"", "begins with /"),
    ] {
        let message = refused(&sound.replace(from, to));
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = check_table_file(Path::new("/nowhere/table.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read table file /nowhere/table.toml"
    );
}

const HTTPS: &str = r#"
[[certificate]]
name = "shop"
chain = "shop.pem"
key = "keys/shop.key"

[[listener]]
port = 443
certificates = ["shop"]
[[listener.rule]]
forward = {}
"#;

#[test]
fn certificates_are_read_from_beside_the_table_file() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["a.net".to_owned()]).unwrap();
    std::fs::create_dir(directory.path().join("keys")).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
    };
    let load = || load(&directory.path().join("table.toml"));
    write("table.toml", HTTPS);
    write("shop.pem", &made.cert.pem());
    write("keys/shop.key", &made.signing_key.serialize_pem());
    let table = load().unwrap();
    assert_eq!(table.listeners[0].protocol, "HTTPS");
    assert_eq!(table.listeners[0].certificate_arns, ["shop"]);
    assert_eq!(table.certificates[0].chain, made.cert.pem());

    write("keys/shop.key", "no key");
    let error = load().unwrap_err();
    let cause = error.source().unwrap();
    assert_eq!(cause.to_string(), "certificate shop cannot be used");
    std::fs::remove_file(directory.path().join("keys/shop.key")).unwrap();
    let message = load().unwrap_err().to_string();
    assert!(message.ends_with("keys/shop.key"), "{message}");
    let unchecked = HTTPS.replace("certificates =", "client_authority = \"shop.pem\"\n# ");
    write("table.toml", &unchecked);
    write("keys/shop.key", &made.signing_key.serialize_pem());
    let error = load().unwrap_err();
    let cause = error.source().unwrap().source().unwrap();
    assert!(cause.to_string().contains("it speaks HTTP"), "{cause}");
}
