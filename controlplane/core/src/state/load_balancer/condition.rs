//! What a rule asks of a request: each condition one thing, with alternatives.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Rejection;
use crate::state::token::is_token;

/// ALB: at most five values and five wildcards over the conditions of a rule.
const MOST_VALUES: usize = 5;
const MOST_WILDCARDS: usize = 5;
const LONGEST_VALUE: usize = 128;
const LONGEST_NAME: usize = 40;

/// A parameter of the query string; without a key any parameter will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryParameter {
    pub key: Option<String>,
    pub value: String,
}

/// Holds when one of its values does. `*` stands for any number of characters and `?` for one, except in methods and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Disregards case.
    HostHeader(Vec<String>),
    /// Heeds case, and never sees the query.
    PathPattern(Vec<String>),
    /// Disregards case.
    HttpHeader { name: String, values: Vec<String> },
    /// Heeds case (RFC 9110 9.1).
    HttpRequestMethod(Vec<String>),
    /// Disregards case.
    QueryString(Vec<QueryParameter>),
    /// In CIDR form; the address of the connection, whatever X-Forwarded-For says.
    SourceIp(Vec<String>),
}

impl Condition {
    /// Returns the name of its kind, as ELB has it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::HostHeader(_) => "host-header",
            Self::PathPattern(_) => "path-pattern",
            Self::HttpHeader { .. } => "http-header",
            Self::HttpRequestMethod(_) => "http-request-method",
            Self::QueryString(_) => "query-string",
            Self::SourceIp(_) => "source-ip",
        }
    }

    /// Returns whether a rule may have several of this kind, all of which must hold.
    fn may_repeat(&self) -> bool {
        match self {
            Self::HttpHeader { .. } | Self::QueryString(_) => true,
            Self::HostHeader(_)
            | Self::PathPattern(_)
            | Self::HttpRequestMethod(_)
            | Self::SourceIp(_) => false,
        }
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::HostHeader(values)
            | Self::PathPattern(values)
            | Self::HttpHeader { values, .. }
            | Self::HttpRequestMethod(values)
            | Self::SourceIp(values) => values.iter().map(String::as_str).collect(),
            Self::QueryString(parameters) => parameters
                .iter()
                .flat_map(|one| one.key.as_deref().into_iter().chain([one.value.as_str()]))
                .collect(),
        }
    }

    fn values(&self) -> usize {
        match self {
            Self::QueryString(parameters) => parameters.len(),
            Self::HostHeader(values)
            | Self::PathPattern(values)
            | Self::HttpHeader { values, .. }
            | Self::HttpRequestMethod(values)
            | Self::SourceIp(values) => values.len(),
        }
    }

    fn has_wildcards(&self) -> bool {
        match self {
            Self::HttpRequestMethod(_) | Self::SourceIp(_) => false,
            Self::HostHeader(_)
            | Self::PathPattern(_)
            | Self::HttpHeader { .. }
            | Self::QueryString(_) => true,
        }
    }

    fn check(&self) -> Result<(), Rejection> {
        let field = self.field();
        let texts = self.texts();
        let unfit = |text: &&str| text.is_empty() || text.len() > LONGEST_VALUE;
        if texts.is_empty() || texts.iter().any(unfit) {
            return Err(Rejection::validation(format!(
                "a {field} condition must have values of 1 to {LONGEST_VALUE} characters"
            )));
        }
        match self {
            Self::HttpHeader { name, .. } => check_header(name),
            Self::HttpRequestMethod(methods) => each(methods, is_method, |method| {
                format!("http-request-method '{method}' is not of 1 to 40 capital letters, - and _")
            }),
            Self::SourceIp(ranges) => each(ranges, is_range, |range| {
                format!("source-ip '{range}' is no address range like 10.0.0.0/8 or 2001:db8::/32")
            }),
            Self::HostHeader(_) | Self::PathPattern(_) | Self::QueryString(_) => Ok(()),
        }
    }
}

/// Checks the conditions of one rule.
///
/// # Errors
/// Names the first thing that no rule may have.
pub fn check(conditions: &[Condition]) -> Result<(), Rejection> {
    let values: usize = conditions.iter().map(Condition::values).sum();
    if !(1..=MOST_VALUES).contains(&values) {
        return Err(Rejection::validation(
            "a rule must have 1 to 5 condition values",
        ));
    }
    let patterns = conditions.iter().filter(|one| one.has_wildcards());
    let wildcards = patterns.flat_map(Condition::texts).flat_map(str::bytes);
    if wildcards.filter(|byte| b"*?".contains(byte)).count() > MOST_WILDCARDS {
        return Err(Rejection::validation(
            "a rule must have at most 5 wildcards (* and ?)",
        ));
    }
    for (at, condition) in conditions.iter().enumerate() {
        condition.check()?;
        let before = &conditions[..at];
        if !condition.may_repeat() && before.iter().any(|one| one.field() == condition.field()) {
            return Err(Rejection::validation(format!(
                "a rule must have at most one {} condition",
                condition.field()
            )));
        }
    }
    Ok(())
}

fn each(
    values: &[String],
    fits: fn(&str) -> bool,
    complaint: impl Fn(&str) -> String,
) -> Result<(), Rejection> {
    match values.iter().find(|value| !fits(value)) {
        Some(value) => Err(Rejection::validation(complaint(value))),
        None => Ok(()),
    }
}

/// A name is a token (RFC 9110 5.1). For the host there is a condition of its own.
fn check_header(name: &str) -> Result<(), Rejection> {
    if name.len() > LONGEST_NAME || !is_token(name) {
        return Err(Rejection::validation(format!(
            "http-header '{name}' is no header name of 1 to {LONGEST_NAME} characters"
        )));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(Rejection::validation(
            "http-header cannot be Host; use a host-header condition",
        ));
    }
    Ok(())
}

fn is_method(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || b"-_".contains(&byte);
    text.len() <= LONGEST_NAME && text.bytes().all(fits)
}

/// Returns whether a text is a range of addresses in CIDR form.
pub(super) fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    // As it is written, and not `+8` or `008`: load balancers read it by another library.
    length
        .parse::<u8>()
        .is_ok_and(|number| number <= most && number.to_string() == length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn header(name: &str, values: &[&str]) -> Condition {
        Condition::HttpHeader {
            name: name.to_owned(),
            values: texts(values),
        }
    }

    fn refused(conditions: &[Condition]) -> String {
        check(conditions).unwrap_err().message
    }

    #[test]
    fn values_and_wildcards_are_counted_over_the_whole_rule() {
        let hosts = Condition::HostHeader(texts(&["*.a", "*.b", "*.c"]));
        let two = header("x-version", &["1*", "2*"]);
        assert!(check(&[hosts.clone(), two.clone()]).is_ok());
        let path = Condition::PathPattern(texts(&["/"]));
        assert!(refused(&[hosts.clone(), two, path]).contains("1 to 5"));
        let stars = Condition::PathPattern(texts(&["/*/*/?"]));
        assert!(refused(&[hosts, stars]).contains("wildcards"));
        assert!(refused(&[]).contains("1 to 5"));
    }

    #[test]
    fn only_headers_and_queries_may_be_asked_for_more_than_once() {
        assert!(check(&[header("a", &["1"]), header("b", &["1"])]).is_ok());
        let path = || Condition::PathPattern(texts(&["/a"]));
        assert!(refused(&[path(), path()]).contains("path-pattern"));
    }

    #[test]
    fn each_kind_names_what_is_wrong_with_its_values() {
        for (condition, names) in [
            (header("", &["x"]), "header name"),
            (header("x y", &["x"]), "x y"),
            (header("Host", &["x"]), "host-header"),
            (header("x", &[""]), "1 to 128"),
            (Condition::HttpRequestMethod(texts(&["get"])), "get"),
            (Condition::SourceIp(texts(&["10.0.0.1"])), "10.0.0.1"),
            (Condition::SourceIp(texts(&["10.0.0.0/33"])), "/33"),
            (Condition::SourceIp(texts(&["10.0.0.0/+8"])), "/+8"),
            (Condition::SourceIp(texts(&["10.0.0.0/008"])), "/008"),
        ] {
            let message = refused(std::slice::from_ref(&condition));
            assert!(message.contains(names), "{message}");
        }
        let ranges = Condition::SourceIp(texts(&["10.0.0.0/8", "2001:db8::/32"]));
        assert!(check(&[ranges]).is_ok());
    }
}
