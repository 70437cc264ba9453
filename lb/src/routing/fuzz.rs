//! Patterns and rules at random, against what they mean.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, StatusCode};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    Action, Ambiguous, Asked, Condition, Forward, PathPattern, Pattern, QueryParameter, Readings,
    Redirect, Rule, Weighted, route,
};

/// What a pattern means, without any shortcut.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'*', rest @ ..], text) => (0..=text.len()).any(|skipped| means(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, others @ ..]) => means(rest, others),
        ([own, rest @ ..], [other, others @ ..]) => own == other && means(rest, others),
        ([_, ..], []) => false,
    }
}

/// A condition as an operator writes it.
#[derive(Debug, Clone)]
enum Wanted {
    Host(Vec<String>),
    Path(Vec<String>),
    Header(&'static str, Vec<String>),
    Method(Vec<&'static str>),
    Query(Vec<(Option<String>, String)>),
    Source(Vec<(IpAddr, u8)>),
}

/// A request as a client makes it.
#[derive(Debug)]
struct Request {
    method: &'static str,
    host: String,
    path: String,
    /// The same, as a client may write it.
    spelled_path: String,
    query: Option<String>,
    headers: Vec<(&'static str, String)>,
    source: IpAddr,
}

impl Wanted {
    fn build(&self) -> Condition {
        let folding = |texts: &[String]| texts.iter().map(|text| Pattern::folding(text)).collect();
        match self {
            Self::Host(hosts) => Condition::Host(folding(hosts)),
            Self::Path(paths) => {
                let paths = paths.iter().map(|text| PathPattern::new(text));
                Condition::Path(paths.collect())
            }
            Self::Header(name, values) => {
                Condition::Header(HeaderName::from_static(name), folding(values))
            }
            Self::Method(methods) => {
                Condition::Method(methods.iter().map(ToString::to_string).collect())
            }
            Self::Query(parameters) => {
                let parameters = parameters.iter().map(|(key, value)| QueryParameter {
                    key: key.as_deref().map(Pattern::folding),
                    value: Pattern::folding(value),
                });
                Condition::Query(parameters.collect())
            }
            Self::Source(ranges) => {
                let ranges = ranges.iter();
                Condition::Source(ranges.map(|(ip, length)| net(*ip, *length)).collect())
            }
        }
    }

    /// Returns what it means, without any shortcut.
    fn holds(&self, request: &Request) -> bool {
        let folded = |pattern: &str, text: &str| {
            let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
            means(pattern.as_bytes(), text.as_bytes())
        };
        match self {
            Self::Host(hosts) => hosts.iter().any(|host| folded(host, &request.host)),
            Self::Path(paths) => {
                let path = request.path.as_bytes();
                paths.iter().any(|own| means(own.as_bytes(), path))
            }
            Self::Header(name, values) => request.headers.iter().any(|(other, given)| {
                other == name && values.iter().any(|value| folded(value, given))
            }),
            Self::Method(methods) => methods.contains(&request.method),
            Self::Query(parameters) => {
                let query = request.query.clone().unwrap_or_default();
                query.split('&').filter(|one| !one.is_empty()).any(|one| {
                    let key: String = one.chars().take_while(|one| *one != '=').collect();
                    let value: String = one.chars().skip(key.len() + 1).collect();
                    parameters.iter().any(|(own, wanted)| {
                        let is_key = own.as_ref().is_none_or(|own| folded(own, &key));
                        is_key && folded(wanted, &value)
                    })
                })
            }
            Self::Source(ranges) => {
                let own = bits(request.source);
                ranges.iter().any(|(ip, length)| {
                    let range = bits(*ip);
                    let length = usize::from(*length);
                    range.len() == own.len() && range[..length] == own[..length]
                })
            }
        }
    }
}

impl Request {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn asked<'a>(&'a self, headers: &'a HeaderMap) -> Asked<'a> {
        Asked {
            method: self.method,
            host: &self.host,
            path: &self.spelled_path,
            readings: Readings::of(&self.spelled_path),
            query: self.query.as_deref(),
            headers,
            source: self.source,
        }
    }
}

fn net(ip: IpAddr, length: u8) -> IpNet {
    IpNet::new(ip, length).unwrap()
}

fn bits(ip: IpAddr) -> Vec<bool> {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let bits = bytes.iter();
    bits.flat_map(|byte| (0..8).map(move |at| byte & (0x80 >> at) != 0))
        .collect()
}

fn rule(wanted: &[Wanted], group: usize) -> Rule<usize> {
    let groups = vec![Weighted { weight: 1, group }];
    let stickiness = None;
    Rule {
        priority: 0,
        conditions: wanted.iter().map(Wanted::build).collect(),
        action: Action::Forward(Forward { groups, stickiness }),
    }
}

const NAMES: [&str; 3] = ["x-a", "x-b", "cookie"];
const METHODS: [&str; 4] = ["GET", "get", "PUT", "PURGE"];

/// Addresses that have much in common.
fn address() -> impl Strategy<Value = IpAddr> {
    let few = || select(vec![0_u8, 1, 3, 128, 255]);
    prop_oneof![
        (few(), few()).prop_map(|(high, low)| IpAddr::from([10, high, 0, low])),
        (few(), few()).prop_map(|(high, low)| {
            IpAddr::from([0x20, 1, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, low])
        }),
    ]
}

fn range() -> impl Strategy<Value = (IpAddr, u8)> {
    (address(), 0_u8..=128).prop_map(|(ip, length)| {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        (ip, length.min(most))
    })
}

/// Up to six conditions, some of them of the same kind, in any order.
fn conditions() -> impl Strategy<Value = Vec<Wanted>> {
    let pattern = "[abA*?]{0,3}";
    let condition = prop_oneof![
        vec(pattern, 1..3).prop_map(Wanted::Host),
        vec("/[abA*?]{0,3}", 1..3).prop_map(Wanted::Path),
        (select(NAMES.to_vec()), vec(pattern, 1..3))
            .prop_map(|(name, values)| Wanted::Header(name, values)),
        vec(select(METHODS.to_vec()), 1..3).prop_map(Wanted::Method),
        vec((of(pattern), pattern), 1..3).prop_map(Wanted::Query),
        vec(range(), 1..3).prop_map(Wanted::Source),
    ];
    vec(condition, 0..7)
}

fn request() -> impl Strategy<Value = Request> {
    let headers = vec((select(NAMES.to_vec()), "[abA]{0,3}"), 0..4);
    let query = of("([abA]{0,2}(=[abA=]{0,2})?&{0,2}){0,3}");
    let spelling = (
        select(vec!["", "/", "/.", "/b/..", "/%2e%2E"]),
        any::<bool>(),
    );
    let host_and_path = ("[abA]{0,3}", "/[abA]{0,3}", spelling);
    let source = address();
    (
        select(METHODS.to_vec()),
        host_and_path,
        query,
        headers,
        source,
    )
        .prop_map(
            |(method, (host, path, (detour, escapes)), query, headers, source)| Request {
                method,
                host,
                spelled_path: match escapes {
                    true => format!("{detour}{}", path.replace('a', "%61")),
                    false => format!("{detour}{path}"),
                },
                path,
                query,
                headers,
                source,
            },
        )
}

/// A part of a redirect.
fn template() -> impl Strategy<Value = Vec<&'static str>> {
    let pieces = [
        "#{protocol}",
        "#{host}",
        "#{port}",
        "#{path}",
        "#{query}",
        "#{",
        "}",
        "#{no}",
        "#",
        "/",
        "a",
        "80",
        "443",
        "\r\n",
        "\u{e9}",
        " ",
    ];
    // One inside another would be taken for a third.
    let pieces = vec(select(pieces.to_vec()), 0..4);
    pieces.prop_filter("nested", |pieces| {
        let text = pieces.concat();
        let known = |text: &str| text.matches("#{").count();
        pieces.iter().map(|piece| known(piece)).sum::<usize>() == known(&text)
    })
}

/// What comes with a request; none of it can have a `#`.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^#]{0,8}", "/{0,2}[a-z/%.{}\r\n\u{80}]{0,5}"]
}

proptest! {
    #[test]
    fn a_pattern_matches_what_it_means(pattern in "[ab*?]{0,8}", text in "[abA]{0,8}") {
        let heeding = Pattern::heeding(pattern.as_bytes());
        prop_assert_eq!(heeding.matches(text.as_bytes()), means(pattern.as_bytes(), text.as_bytes()));
        let folding = Pattern::folding(&pattern);
        let folded = text.to_ascii_lowercase();
        prop_assert_eq!(folding.matches(text.as_bytes()), means(pattern.as_bytes(), folded.as_bytes()));
    }

    #[test]
    fn the_first_rule_all_of_whose_conditions_hold_is_taken(
        rules in vec(conditions(), 1..8),
        request in request(),
    ) {
        let built: Vec<_> = rules.iter().enumerate().map(|(number, wanted)| rule(wanted, number)).collect();
        let expected = rules.iter().position(|wanted| wanted.iter().all(|one| one.holds(&request)));
        let headers = request.headers();
        let taken = route(&built, &request.asked(&headers));
        let number = |rule: Option<&Rule<usize>>| rule.map(|rule| match &rule.action {
            Action::Forward(forward) => forward.groups[0].group,
            Action::Redirect(_) | Action::Fixed(_) => usize::MAX,
        });
        match taken {
            Ok(rule) => prop_assert_eq!(number(rule), expected),
            // Only what is written in a roundabout way can be read in two.
            Err(Ambiguous) => prop_assert!(request.spelled_path != request.path),
        }
    }

    #[test]
    fn a_redirect_is_one_line_whatever_is_asked(
        parts in vec(template(), 4),
        is_secure: bool,
        port: u16,
        host in text(),
        path in text(),
        query in of(text()),
    ) {
        let [host_template, port_template, path_template, query_template] = &parts[..] else {
            unreachable!("four were asked for")
        };
        let redirect = Redirect {
            status: StatusCode::FOUND,
            protocol: is_secure.then_some("https"),
            host: host_template.concat(),
            port: port_template.concat(),
            path: path_template.concat(),
            query: query_template.concat(),
        };
        let headers = HeaderMap::new();
        let asked = Asked {
            method: "GET",
            host: &host,
            path: &path,
            readings: Readings::of(&path),
            query: query.as_deref(),
            headers: &headers,
            source: [127, 0, 0, 1].into(),
        };
        let expand = |part: &[&str]| -> String {
            let values = part.iter().map(|piece| match *piece {
                "#{protocol}" => "http".to_owned(),
                "#{host}" => host.clone(),
                "#{port}" => port.to_string(),
                "#{path}" => path.trim_start_matches('/').to_owned(),
                "#{query}" => query.clone().unwrap_or_default(),
                other => other.to_owned(),
            });
            values.collect()
        };
        let scheme = if is_secure { "https" } else { "http" };
        let port_text = match (scheme, expand(port_template)) {
            ("http", port) if port == "80" => String::new(),
            ("https", port) if port == "443" => String::new(),
            (_, port) => format!(":{port}"),
        };
        let query_text = match expand(query_template) {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        };
        let expected = format!("{scheme}://{}{port_text}{}{query_text}", expand(host_template), expand(path_template));
        match redirect.location(&asked, "http", port) {
            Some(location) => {
                prop_assert!(!location.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
                prop_assert_eq!(location.as_bytes(), expected.as_bytes());
            }
            // Nothing else is a reason.
            None => prop_assert!(expected.chars().any(|one| one.is_ascii_control() && one != '\t')),
        }
    }
}
