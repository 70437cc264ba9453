//! Patterns and rules at random, against what they mean.

use http::{HeaderMap, HeaderName};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Action, Asked, Condition, Forward, Pattern, Rule, Weighted, route};

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

proptest! {
    #[test]
    fn a_pattern_matches_what_it_means(pattern in "[ab*?]{0,8}", text in "[abA]{0,8}") {
        let heeding = Pattern::heeding(&pattern);
        prop_assert_eq!(heeding.matches(text.as_bytes()), means(pattern.as_bytes(), text.as_bytes()));
        let folding = Pattern::folding(&pattern);
        let folded = text.to_ascii_lowercase();
        prop_assert_eq!(folding.matches(text.as_bytes()), means(pattern.as_bytes(), folded.as_bytes()));
    }

    #[test]
    fn the_first_rule_all_of_whose_conditions_hold_is_taken(
        rules in vec((vec("[ab*]{0,3}", 0..3), vec("/[ab*]{0,3}", 0..3), vec("[ab*]{0,3}", 0..3)), 1..8),
        host in "[ab]{0,3}",
        path in "/[ab]{0,3}",
        header in "[ab]{0,3}",
    ) {
        let name = HeaderName::from_static("x-a");
        let mut headers = HeaderMap::new();
        headers.insert(&name, header.parse().unwrap());
        let asked = Asked {
            method: "GET",
            host: &host,
            path: &path,
            query: None,
            headers: &headers,
            source: [127, 0, 0, 1].into(),
        };
        let folding = |texts: &[String]| texts.iter().map(|text| Pattern::folding(text)).collect::<Vec<_>>();
        let built: Vec<_> = rules.iter().enumerate().map(|(number, (hosts, paths, values))| {
            let mut conditions = Vec::new();
            if !hosts.is_empty() {
                conditions.push(Condition::Host(folding(hosts)));
            }
            if !paths.is_empty() {
                conditions.push(Condition::Path(paths.iter().map(|text| Pattern::heeding(text)).collect()));
            }
            if !values.is_empty() {
                conditions.push(Condition::Header(name.clone(), folding(values)));
            }
            let groups = vec![Weighted { weight: 1, group: number }];
            let action = Action::Forward(Forward { groups, stickiness: None });
            Rule { priority: 0, conditions, action }
        }).collect();
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|one| means(one.as_bytes(), text.as_bytes()))
        };
        let expected = rules.iter().position(|(hosts, paths, values)| {
            any(hosts, &host) && any(paths, &path) && any(values, &header)
        });
        let taken = route(&built, &asked).map(|rule| match &rule.action {
            Action::Forward(forward) => forward.groups[0].group,
            Action::Redirect(_) | Action::Fixed(_) => usize::MAX,
        });
        prop_assert_eq!(taken, expected);
    }
}
