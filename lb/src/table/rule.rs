//! Reads the rules of a listener.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use ipnet::IpNet;
use roadstead_proto::lb;

use super::TableError;
use crate::routing::{
    Action, Condition, FixedResponse, Forward, PathPattern, Pattern, QueryParameter, Redirect,
    Rule, Weighted,
};
use crate::upstream::Transport;

/// Reads a rule of `listener`; it names its groups, which must be among `groups`.
pub(super) fn read(
    listener: &str,
    rule: &lb::Rule,
    groups: &BTreeMap<&str, Transport>,
) -> Result<Rule<String>, TableError> {
    Ok(Rule {
        priority: rule.priority,
        conditions: read_conditions(listener, rule)?,
        action: read_action(listener, rule, groups)?,
    })
}

/// Reads addresses in CIDR form.
pub(super) fn source(listener: &str, text: &str) -> Result<IpNet, TableError> {
    let range = text.parse();
    range.map_err(|_| unfit(listener, "an address range like 10.0.0.0/8", text))
}

fn unfit(listener: &str, what: &'static str, value: &(impl ToString + ?Sized)) -> TableError {
    TableError::Rule {
        listener: listener.to_owned(),
        what,
        value: value.to_string(),
    }
}

fn read_conditions(listener: &str, rule: &lb::Rule) -> Result<Vec<Condition>, TableError> {
    let folding = |texts: &[String]| texts.iter().map(|text| Pattern::folding(text)).collect();
    let mut conditions = Vec::new();
    // The cheapest first: all must hold.
    if !rule.http_request_methods.is_empty() {
        conditions.push(Condition::Method(rule.http_request_methods.clone()));
    }
    if !rule.host_patterns.is_empty() {
        conditions.push(Condition::Host(folding(&rule.host_patterns)));
    }
    if !rule.path_patterns.is_empty() {
        let patterns = rule.path_patterns.iter();
        conditions.push(Condition::Path(
            patterns.map(|text| PathPattern::new(text)).collect(),
        ));
    }
    if !rule.source_ips.is_empty() {
        let ranges = rule.source_ips.iter().map(|text| source(listener, text));
        conditions.push(Condition::Source(ranges.collect::<Result<_, _>>()?));
    }
    for header in &rule.http_headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.map_err(|_| unfit(listener, "the name of a header", &header.name))?;
        conditions.push(Condition::Header(name, folding(&header.patterns)));
    }
    for query in &rule.query_strings {
        let parameters = query.parameters.iter().map(|one| QueryParameter {
            key: one.key.as_deref().map(Pattern::folding),
            value: Pattern::folding(&one.value),
        });
        conditions.push(Condition::Query(parameters.collect()));
    }
    Ok(conditions)
}

fn read_action(
    listener: &str,
    rule: &lb::Rule,
    groups: &BTreeMap<&str, Transport>,
) -> Result<Action<String>, TableError> {
    if let Some(redirect) = &rule.redirect {
        return Ok(Action::Redirect(read_redirect(listener, redirect)?));
    }
    if let Some(response) = &rule.fixed_response {
        return Ok(Action::Fixed(read_response(listener, response)?));
    }
    let mut forward = Vec::with_capacity(rule.forward.len());
    for choice in &rule.forward {
        let group = choice.target_group_arn.clone();
        if !groups.contains_key(group.as_str()) {
            let listener = listener.to_owned();
            return Err(TableError::UnknownTargetGroup { listener, group });
        }
        let weight = choice.weight;
        forward.push(Weighted { weight, group });
    }
    let seconds = u64::from(rule.stickiness_seconds);
    Ok(Action::Forward(Forward {
        groups: forward,
        stickiness: (seconds > 0).then(|| Duration::from_secs(seconds)),
    }))
}

/// The control plane has checked more; this is what would send clients to where nobody meant.
fn read_redirect(listener: &str, redirect: &lb::Redirect) -> Result<Redirect, TableError> {
    let protocol = match redirect.protocol.as_str() {
        "#{protocol}" => None,
        text if text.eq_ignore_ascii_case("http") => Some("http"),
        text if text.eq_ignore_ascii_case("https") => Some("https"),
        text => return Err(unfit(listener, "the protocol of a redirect", text)),
    };
    if redirect.port != "#{port}" && !matches!(redirect.port.parse::<u16>(), Ok(1..)) {
        return Err(unfit(listener, "the port of a redirect", &redirect.port));
    }
    if !redirect.path.starts_with('/') {
        return Err(unfit(listener, "a path that begins with /", &redirect.path));
    }
    Ok(Redirect {
        status: read_status(listener, redirect.status_code, StatusCode::is_redirection)?,
        protocol,
        host: redirect.host.clone(),
        port: redirect.port.clone(),
        path: redirect.path.clone(),
        query: redirect.query.clone(),
    })
}

fn read_response(
    listener: &str,
    response: &lb::FixedResponse,
) -> Result<FixedResponse, TableError> {
    let content_type = match response.content_type.as_str() {
        "" => None,
        text => Some(
            HeaderValue::from_str(text).map_err(|_| unfit(listener, "a content type", &text))?,
        ),
    };
    let answers = |status: &StatusCode| !status.is_informational() && !status.is_redirection();
    Ok(FixedResponse {
        status: read_status(listener, response.status_code, answers)?,
        content_type,
        body: Bytes::from(response.body.clone()),
    })
}

fn read_status(
    listener: &str,
    code: u32,
    fits: impl Fn(&StatusCode) -> bool,
) -> Result<StatusCode, TableError> {
    let status = u16::try_from(code).ok();
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(fits);
    status.ok_or_else(|| unfit(listener, "a status code of that action", &code))
}
