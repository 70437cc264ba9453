//! Finds the rule for a request, and what the rule does with it.
//!
//! Pure. The rules are ALB's: tried in order, the last one matches everything; all conditions of a rule must hold, and
//! one value of each is enough.

mod condition;
#[cfg(test)]
mod fuzz;
mod path;
mod pattern;
mod redirect;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::balance::drawn;

pub(crate) use condition::{Condition, QueryParameter};
use path::Reading;
pub(crate) use path::{PathPattern, Readings};
pub(crate) use pattern::Pattern;
pub(crate) use redirect::Redirect;

/// What rules can ask of a request.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// Without its port.
    pub(crate) host: &'a str,
    /// As it was sent, without the query.
    pub(crate) path: &'a str,
    /// How servers may read that, if it is not simply what it says.
    pub(crate) readings: Option<Box<Readings>>,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    /// Of the connection.
    pub(crate) source: IpAddr,
}

/// One rule of a listener; `G` is what stands for a target group.
#[derive(Debug, Clone)]
pub(crate) struct Rule<G> {
    /// As the access log has it; 0 is the default rule.
    pub(crate) priority: u32,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action<G>,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Action<G> {
    Forward(Forward<G>),
    Redirect(Redirect),
    Fixed(FixedResponse),
}

/// Target groups that share a rule's requests.
#[derive(Debug, Clone)]
pub(crate) struct Forward<G> {
    pub(crate) groups: Vec<Weighted<G>>,
    /// For so long a client stays with the group that it got first.
    pub(crate) stickiness: Option<Duration>,
}

/// A target group and its share of a rule's requests.
#[derive(Debug, Clone)]
pub(crate) struct Weighted<G> {
    pub(crate) weight: u32,
    pub(crate) group: G,
}

/// An answer that needs no target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FixedResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// Two servers that read a path in two ways would have taken two rules for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// Returns the first rule that matches.
///
/// # Errors
/// Fails when it depends on how a server reads the path.
pub(crate) fn route<'a, G>(
    rules: &'a [Rule<G>],
    asked: &Asked<'_>,
) -> Result<Option<&'a Rule<G>>, Ambiguous> {
    match &asked.readings {
        None => Ok(first(rules, asked, Reading::Strict(asked.path.as_bytes()))),
        Some(readings) => of_both(rules, asked, readings),
    }
}

/// Returns the rule that both readings lead to.
#[cold]
fn of_both<'a, G>(
    rules: &'a [Rule<G>],
    asked: &Asked<'_>,
    readings: &Readings,
) -> Result<Option<&'a Rule<G>>, Ambiguous> {
    if readings.are_more {
        return Err(Ambiguous);
    }
    let rule = first(rules, asked, Reading::Strict(&readings.strict));
    let Some(lenient) = &readings.lenient else {
        return Ok(rule);
    };
    let other = first(rules, asked, Reading::Lenient(lenient));
    let is_same = rule.map(std::ptr::from_ref) == other.map(std::ptr::from_ref);
    if is_same { Ok(rule) } else { Err(Ambiguous) }
}

#[inline]
fn first<'a, G>(rules: &'a [Rule<G>], asked: &Asked<'_>, path: Reading<'_>) -> Option<&'a Rule<G>> {
    // Rules that ask for one header mostly stand together, and most requests do not have it.
    let mut absent = None;
    rules.iter().find(|rule| {
        let mut conditions = rule.conditions.iter();
        conditions.all(|condition| condition.holds(asked, path, &mut absent))
    })
}

impl<G> Forward<G> {
    /// Returns the group on which `draw`, a number taken at random, falls; `None` when all weigh nothing.
    pub(crate) fn choose(&self, draw: u32) -> Option<&G> {
        let groups = self.groups.iter();
        drawn(draw, groups.map(|choice| (&choice.group, choice.weight)))
    }
}

/// Returns the host of a `Host` header's value, without its port.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests;
