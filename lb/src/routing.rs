//! Finds the rule for a request, and a target group within the rule.
//!
//! Pure. The rules are ALB's: tried in order, the last one matches everything; a host pattern does
//! not care about case, a path pattern does and never sees the query; `*` stands for any number of
//! characters, `?` for exactly one.

/// Matches a host or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Box<[u8]>);

impl Pattern {
    /// Returns a pattern that disregards case.
    pub(crate) fn host(text: &str) -> Self {
        Self(text.to_ascii_lowercase().into_bytes().into())
    }

    /// Returns a pattern that heeds case.
    pub(crate) fn path(text: &str) -> Self {
        Self(text.as_bytes().into())
    }

    fn matches_host(&self, host: &str) -> bool {
        glob(&self.0, host.as_bytes(), |byte| byte.to_ascii_lowercase())
    }

    fn matches_path(&self, path: &str) -> bool {
        glob(&self.0, path.as_bytes(), |byte| byte)
    }
}

/// Matches in O(pattern × text) at worst: only the last `*` is ever tried again.
fn glob(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == fold(text[seen]) => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// One rule of a listener; `G` is what stands for a target group.
#[derive(Debug, Clone)]
pub(crate) struct Rule<G> {
    pub(crate) hosts: Vec<Pattern>,
    pub(crate) paths: Vec<Pattern>,
    pub(crate) forward: Vec<Weighted<G>>,
}

/// A target group and its share of a rule's requests.
#[derive(Debug, Clone)]
pub(crate) struct Weighted<G> {
    pub(crate) weight: u32,
    pub(crate) group: G,
}

/// Returns the first rule that matches; `host` is without its port, `path` without its query.
pub(crate) fn route<'a, G>(rules: &'a [Rule<G>], host: &str, path: &str) -> Option<&'a Rule<G>> {
    rules.iter().find(|rule| {
        (rule.hosts.is_empty() || rule.hosts.iter().any(|pattern| pattern.matches_host(host)))
            && (rule.paths.is_empty()
                || rule.paths.iter().any(|pattern| pattern.matches_path(path)))
    })
}

/// Returns the group on which `draw`, a number taken at random, falls; `None` when all weigh nothing.
pub(crate) fn choose<G>(forward: &[Weighted<G>], draw: u32) -> Option<&G> {
    let total: u64 = forward.iter().map(|choice| u64::from(choice.weight)).sum();
    let mut left = u64::from(draw).checked_rem(total)?;
    forward.iter().find_map(|choice| {
        let weight = u64::from(choice.weight);
        if left < weight {
            return Some(&choice.group);
        }
        left -= weight;
        None
    })
}

/// Returns the host of a `Host` header's value, without its port.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(hosts: &[&str], paths: &[&str], group: &'static str) -> Rule<&'static str> {
        Rule {
            hosts: hosts.iter().map(|text| Pattern::host(text)).collect(),
            paths: paths.iter().map(|text| Pattern::path(text)).collect(),
            forward: vec![Weighted { weight: 1, group }],
        }
    }

    fn routed(rules: &[Rule<&'static str>], host: &str, path: &str) -> Option<&'static str> {
        route(rules, host, path).map(|rule| rule.forward[0].group)
    }

    #[test]
    fn hosts_are_compared_without_case_and_paths_with_it() {
        let rules = [
            rule(&["Shop.example.COM"], &["/API/*"], "api"),
            rule(&[], &[], "rest"),
        ];
        assert_eq!(routed(&rules, "sHOP.Example.com", "/API/x"), Some("api"));
        assert_eq!(routed(&rules, "shop.example.com", "/api/x"), Some("rest"));
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = [
            rule(&[], &["/a/*"], "first"),
            rule(&[], &["/a/b"], "second"),
            rule(&[], &[], "default"),
        ];
        assert_eq!(routed(&rules, "h", "/a/b"), Some("first"));
        assert_eq!(routed(&rules, "h", "/"), Some("default"));
        assert_eq!(routed(&rules[..2], "h", "/"), None);
    }

    #[test]
    fn a_star_takes_any_number_of_characters_and_a_question_mark_exactly_one() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("/img/*.?pg", "/img/a/b.jpg", true),
            ("/img/*.?pg", "/img/a.pg", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "x", false),
        ] {
            assert_eq!(
                Pattern::path(pattern).matches_path(text),
                expected,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn groups_are_chosen_in_proportion_to_their_weights() {
        let forward =
            [("a", 3), ("none", 0), ("b", 1)].map(|(group, weight)| Weighted { weight, group });
        let chosen: Vec<_> = (0..4).filter_map(|draw| choose(&forward, draw)).collect();
        assert_eq!(chosen, [&"a", &"a", &"a", &"b"]);
        assert_eq!(choose(&forward[1..2], 7), None);
    }

    #[test]
    fn the_port_is_cut_off_a_host() {
        assert_eq!(host_of("example.com:8080"), "example.com");
        assert_eq!(host_of("example.com"), "example.com");
        assert_eq!(host_of("[::1]:80"), "[::1]");
        assert_eq!(host_of("[::1]"), "[::1]");
    }
}
