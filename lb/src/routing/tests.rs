use super::*;

fn asked<'a>(headers: &'a HeaderMap, host: &'a str, path: &'a str) -> Asked<'a> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    Asked {
        method: "GET",
        host,
        path,
        readings: Readings::of(path),
        query,
        headers,
        source: [10, 0, 0, 9].into(),
    }
}

fn hosts(patterns: &[&str]) -> Condition {
    Condition::Host(patterns.iter().map(|text| Pattern::folding(text)).collect())
}

fn paths(patterns: &[&str]) -> Condition {
    Condition::Path(patterns.iter().map(|text| PathPattern::new(text)).collect())
}

fn rule(conditions: &[Condition], group: &'static str) -> Rule<&'static str> {
    let weight = 1;
    Rule {
        priority: 0,
        conditions: conditions.to_vec(),
        action: Action::Forward(Forward {
            groups: vec![Weighted { weight, group }],
            stickiness: None,
        }),
    }
}

fn group<'a>(rule: Option<&'a Rule<&'static str>>) -> Option<&'a str> {
    match &rule?.action {
        Action::Forward(forward) => forward.choose(0).copied(),
        Action::Redirect(_) | Action::Fixed(_) => None,
    }
}

fn routed<'a>(rules: &'a [Rule<&'static str>], host: &str, path: &str) -> Option<&'a str> {
    let headers = HeaderMap::new();
    group(route(rules, &asked(&headers, host, path)).unwrap())
}

#[test]
fn a_host_disregards_case_and_a_path_heeds_it() {
    let rules = [
        rule(&[hosts(&["Shop.Example.com"]), paths(&["/API/*"])], "api"),
        rule(&[], "rest"),
    ];
    assert_eq!(routed(&rules, "sHOP.example.com", "/API/x"), Some("api"));
    assert_eq!(routed(&rules, "shop.example.com", "/api/x"), Some("rest"));
    assert_eq!(routed(&rules, "example.com", "/API/x"), Some("rest"));
}

#[test]
fn a_path_for_which_servers_would_take_two_rules_has_none() {
    let rules = [
        rule(&[paths(&["/admin/*", "/caf%C3%A9"])], "admin"),
        rule(&[], "rest"),
    ];
    // What every server reads in the same way is matched so, however it is written.
    for path in [
        "/admin/a",
        "/%61dmin/a",
        "/admin//a",
        "/admin/./a",
        "/admin/b/../a",
        "/caf%c3%a9",
    ] {
        assert_eq!(routed(&rules, "h", path), Some("admin"), "{path}");
    }
    let headers = HeaderMap::new();
    for path in [
        "//admin/a",
        "/x/../admin/a",
        "/x%2f..%2Fadmin/a",
        "/admin/../a",
        "/%2e/admin/a",
        "/x\\..\\admin/a",
        "/b//../b/a",
    ] {
        let found = route(&rules, &asked(&headers, "h", path));
        assert_eq!(found.err(), Some(Ambiguous), "{path}");
    }
    for path in ["/b//a", "/b/../a", "/b%2Fa"] {
        assert_eq!(routed(&rules, "h", path), Some("rest"), "{path}");
    }
}

#[test]
fn the_first_rule_that_matches_wins() {
    let rules = [
        rule(&[paths(&["/a/*"])], "first"),
        rule(&[paths(&["/a/b"])], "second"),
        rule(&[], "default"),
    ];
    assert_eq!(routed(&rules, "h", "/a/b"), Some("first"));
    assert_eq!(routed(&rules, "h", "/"), Some("default"));
    assert_eq!(routed(&rules[..2], "h", "/"), None);
}

/// Returns whether a condition holds for `GET /a?b=c&Beta` from 10.0.0.9 with two values of `x-version`.
fn holds(condition: &Condition) -> bool {
    let mut headers = HeaderMap::new();
    headers.append("x-version", HeaderValue::from_static("old"));
    headers.append("x-version", HeaderValue::from_static("V2"));
    condition.holds(
        &asked(&headers, "h", "/a?b=c&Beta"),
        Reading::Strict(b"/a"),
        &mut None,
    )
}

#[test]
fn a_header_holds_when_any_of_its_lines_does() {
    let version = |text| {
        let patterns = vec![Pattern::folding(text)];
        holds(&Condition::Header("x-version".parse().unwrap(), patterns))
    };
    assert!(version("v2"));
    assert!(version("v*"));
    assert!(!version("v3"));
    let absent = "x-absent".parse().unwrap();
    assert!(!holds(&Condition::Header(
        absent,
        vec![Pattern::folding("*")]
    )));
}

#[test]
fn a_method_is_the_same_to_the_letter() {
    let method = |text: &str| holds(&Condition::Method(vec!["PUT".into(), text.into()]));
    assert!(method("GET"));
    assert!(!method("get"));
}

#[test]
fn a_query_holds_when_one_parameter_has_key_and_value() {
    let query = |key: Option<&str>, value| {
        holds(&Condition::Query(vec![QueryParameter {
            key: key.map(Pattern::folding),
            value: Pattern::folding(value),
        }]))
    };
    assert!(query(Some("B"), "c"));
    assert!(query(None, "c"));
    assert!(query(Some("beta"), ""));
    assert!(query(Some("b*"), "*"));
    assert!(!query(Some("b"), "Beta"));
    assert!(!query(Some("a"), "*"));
}

#[test]
fn a_source_is_the_address_of_the_connection() {
    let source = |range: &str| holds(&Condition::Source(vec![range.parse().unwrap()]));
    assert!(source("10.0.0.0/8"));
    assert!(source("10.0.0.9/32"));
    assert!(!source("10.0.0.8/32"));
    assert!(!source("::/0"));
}

#[test]
fn groups_are_chosen_in_proportion_to_their_weights() {
    let shared = |weights: &[(&'static str, u32)]| {
        let groups = weights.iter().map(|(group, weight)| Weighted {
            weight: *weight,
            group: *group,
        });
        Forward {
            groups: groups.collect(),
            stickiness: None,
        }
    };
    let forward = shared(&[("a", 3), ("none", 0), ("b", 1)]);
    let chosen: Vec<_> = (0..4).filter_map(|draw| forward.choose(draw)).collect();
    assert_eq!(chosen, [&"a", &"a", &"a", &"b"]);
    assert_eq!(shared(&[("none", 0)]).choose(7), None);
}

#[test]
fn a_redirect_keeps_what_it_does_not_change() {
    let own = Redirect {
        status: StatusCode::FOUND,
        protocol: None,
        host: "#{host}".into(),
        port: "#{port}".into(),
        path: "/#{path}".into(),
        query: "#{query}".into(),
    };
    let headers = HeaderMap::new();
    let location = |redirect: &Redirect, path| {
        let asked = asked(&headers, "shop.example", path);
        let location = redirect.location(&asked, "http", 8080).unwrap();
        location.to_str().unwrap().to_owned()
    };
    assert_eq!(
        location(&own, "/a/b?c=d"),
        "http://shop.example:8080/a/b?c=d"
    );
    let secure = Redirect {
        protocol: Some("https"),
        port: "443".into(),
        ..own.clone()
    };
    assert_eq!(location(&secure, "/a"), "https://shop.example/a");
    let moved = Redirect {
        host: "www.#{host}".into(),
        path: "/v2/#{path}".into(),
        query: "from=#{host}".into(),
        ..own
    };
    assert_eq!(
        location(&moved, "/a?b"),
        "http://www.shop.example:8080/v2/a?from=shop.example"
    );
}

#[test]
fn the_port_is_cut_off_a_host() {
    assert_eq!(host_of("example.com:8080"), "example.com");
    assert_eq!(host_of("example.com"), "example.com");
    assert_eq!(host_of("[::1]:80"), "[::1]");
    assert_eq!(host_of("[::1]"), "[::1]");
}
