//! What a rule asks of a request.

use http::HeaderName;
use ipnet::IpNet;

use super::Asked;
use super::path::{PathPattern, Reading};
use super::pattern::Pattern;

/// Holds when one of its values does.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Host(Vec<Pattern>),
    Path(Vec<PathPattern>),
    Header(HeaderName, Vec<Pattern>),
    Method(Vec<String>),
    Query(Vec<QueryParameter>),
    Source(Vec<IpNet>),
}

/// A parameter of the query; without a key any will do.
#[derive(Debug, Clone)]
pub(crate) struct QueryParameter {
    pub(crate) key: Option<Pattern>,
    pub(crate) value: Pattern,
}

impl Condition {
    /// Returns whether it holds for that reading of the path; `absent` is the header that was last looked for in vain.
    pub(super) fn holds<'a>(
        &'a self,
        asked: &Asked<'_>,
        path: Reading<'_>,
        absent: &mut Option<&'a HeaderName>,
    ) -> bool {
        match self {
            Self::Host(patterns) => any(patterns, asked.host.as_bytes()),
            Self::Path(patterns) => patterns.iter().any(|pattern| pattern.matches(path)),
            Self::Header(name, _) if *absent == Some(name) => false,
            Self::Header(name, patterns) => {
                let mut values = asked.headers.get_all(name).iter().peekable();
                if values.peek().is_none() {
                    *absent = Some(name);
                }
                values.any(|value| any(patterns, value.as_bytes()))
            }
            Self::Method(methods) => methods.iter().any(|method| method == asked.method),
            Self::Query(wanted) => {
                let query = asked.query.unwrap_or_default();
                let given = query.split('&').filter(|one| !one.is_empty());
                given.map(split).any(|parameter| {
                    let fits = |one: &QueryParameter| one.fits(parameter);
                    wanted.iter().any(fits)
                })
            }
            Self::Source(ranges) => ranges.iter().any(|range| range.contains(&asked.source)),
        }
    }
}

fn any(patterns: &[Pattern], text: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// A parameter may do without a value.
fn split(parameter: &str) -> (&str, &str) {
    parameter.split_once('=').unwrap_or((parameter, ""))
}

impl QueryParameter {
    fn fits(&self, (key, value): (&str, &str)) -> bool {
        let own_key = self.key.as_ref();
        own_key.is_none_or(|own| own.matches(key.as_bytes()))
            && self.value.matches(value.as_bytes())
    }
}
