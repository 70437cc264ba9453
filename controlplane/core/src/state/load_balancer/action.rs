//! What a listener does with a request: forward it, redirect its client, or answer at once.

use serde::{Deserialize, Deserializer, Serialize};

use crate::Rejection;
use crate::id::TargetGroupName;
use crate::state::target_group::LONGEST_STICKINESS;

/// ALB: at most five target groups in one forward action, each with a weight of 0 to 999.
const MOST_FORWARDS: usize = 5;
const MOST_WEIGHT: u32 = 999;
const LONGEST_PART: usize = 128;
const MOST_BODY: usize = 1024;
const CONTENT_TYPES: [&str; 5] = [
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
];

/// A share of the requests for one target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    pub target_group: TargetGroupName,
    pub weight: u32,
}

/// Where a client is sent instead. Each part may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}` where ALB
/// allows them; they stand for those of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    pub protocol: String,
    pub host: String,
    pub port: String,
    pub path: String,
    pub query: String,
    /// 301 rather than 302.
    pub permanent: bool,
}

impl Default for Redirect {
    /// The request's own address: what is not said stays as it is.
    fn default() -> Self {
        Self {
            protocol: "#{protocol}".to_owned(),
            host: "#{host}".to_owned(),
            port: "#{port}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            permanent: false,
        }
    }
}

/// An answer of the load balancer's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedResponse {
    pub status_code: u16,
    /// Empty: none is sent.
    pub content_type: String,
    pub body: String,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    Forward {
        groups: Vec<Forward>,
        /// For so many seconds a client stays with the group that it got first.
        stickiness: Option<u32>,
    },
    Redirect(Redirect),
    FixedResponse(FixedResponse),
}

impl Action {
    /// Returns the action that forwards everything to one target group.
    #[must_use]
    pub fn forward_to(target_group: TargetGroupName) -> Self {
        let weight = 1;
        Self::Forward {
            groups: vec![Forward {
                target_group,
                weight,
            }],
            stickiness: None,
        }
    }

    /// Returns the target groups that requests are forwarded to.
    #[must_use]
    pub fn forwards(&self) -> &[Forward] {
        match self {
            Self::Forward { groups, .. } => groups,
            Self::Redirect(_) | Self::FixedResponse(_) => &[],
        }
    }

    /// Checks all but whether the target groups are there.
    ///
    /// # Errors
    /// Names the first thing that no action may have.
    pub fn check(&self) -> Result<(), Rejection> {
        match self {
            Self::Forward { groups, stickiness } => check_forward(groups, *stickiness),
            Self::Redirect(redirect) => redirect.check(),
            Self::FixedResponse(response) => response.check(),
        }
    }
}

fn check_forward(groups: &[Forward], stickiness: Option<u32>) -> Result<(), Rejection> {
    if groups.is_empty() || groups.len() > MOST_FORWARDS {
        return Err(Rejection::validation(
            "a forward action must name 1 to 5 target groups",
        ));
    }
    if groups.iter().any(|forward| forward.weight > MOST_WEIGHT) {
        return Err(Rejection::validation("weight must be 0 to 999"));
    }
    for (at, one) in groups.iter().enumerate() {
        let name = &one.target_group;
        if groups[..at].iter().any(|other| other.target_group == *name) {
            return Err(Rejection::validation(format!(
                "a forward action names target group '{name}' twice"
            )));
        }
    }
    if stickiness.is_some_and(|seconds| !(1..=LONGEST_STICKINESS).contains(&seconds)) {
        return Err(Rejection::validation(
            "target group stickiness duration must be 1 to 604800 seconds",
        ));
    }
    Ok(())
}

impl Redirect {
    fn check(&self) -> Result<(), Rejection> {
        if !["HTTP", "HTTPS", "#{protocol}"].contains(&self.protocol.as_str()) {
            return Err(Rejection::validation(format!(
                "redirect protocol must be HTTP, HTTPS or #{{protocol}}, not '{}'",
                self.protocol
            )));
        }
        let port_is_one = matches!(self.port.parse::<u16>(), Ok(1..));
        if self.port != "#{port}" && !port_is_one {
            return Err(Rejection::validation(format!(
                "redirect port must be 1 to 65535 or #{{port}}, not '{}'",
                self.port
            )));
        }
        let own = self.host.replace("#{host}", "");
        if self.host.is_empty() || !is_part(&self.host) || own.contains(['/', '\\', '?', '#', '@'])
        {
            return Err(Rejection::validation(
                "redirect host must be a host name of at most 128 characters, with #{host} for that of the request",
            ));
        }
        if !self.path.starts_with('/') || !is_part(&self.path) {
            return Err(Rejection::validation(
                "redirect path must begin with / and have at most 128 visible characters",
            ));
        }
        if self.query.starts_with('?') || !is_part(&self.query) {
            return Err(Rejection::validation(
                "redirect query must have at most 128 visible characters, without the leading ?",
            ));
        }
        let same = Self::default();
        let moves = self.protocol != same.protocol
            || self.port != same.port
            || self.host != same.host
            || self.path != same.path;
        if !moves {
            return Err(Rejection::validation(
                "a redirect must change at least one of protocol, port, host and path, or it goes round in circles",
            ));
        }
        Ok(())
    }
}

/// It becomes a part of a header's value.
fn is_part(text: &str) -> bool {
    text.len() <= LONGEST_PART && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl FixedResponse {
    fn check(&self) -> Result<(), Rejection> {
        if !matches!(self.status_code, 200..=299 | 400..=599) {
            return Err(Rejection::validation(format!(
                "fixed-response status code must be 2XX, 4XX or 5XX, not {}",
                self.status_code
            )));
        }
        let content_type = self.content_type.as_str();
        if !content_type.is_empty() && !CONTENT_TYPES.contains(&content_type) {
            return Err(Rejection::validation(format!(
                "fixed-response content type must be one of {}, not '{content_type}'",
                CONTENT_TYPES.join(", ")
            )));
        }
        if self.body.len() > MOST_BODY {
            return Err(Rejection::validation(format!(
                "fixed-response message body must have at most {MOST_BODY} bytes, not {}",
                self.body.len()
            )));
        }
        Ok(())
    }
}

/// Reads an action. What was stored when there was only forwarding is a list of target groups.
pub(crate) fn stored<'de, D: Deserializer<'de>>(from: D) -> Result<Action, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Forwards(Vec<Forward>),
        Action(Action),
    }
    Ok(match Stored::deserialize(from)? {
        Stored::Forwards(groups) => Action::Forward {
            groups,
            stickiness: None,
        },
        Stored::Action(action) => action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(action: &Action) -> String {
        action.check().unwrap_err().message
    }

    fn redirect(change: impl FnOnce(&mut Redirect)) -> Action {
        let mut redirect = Redirect::default();
        change(&mut redirect);
        Action::Redirect(redirect)
    }

    #[test]
    fn a_redirect_to_where_the_request_came_is_refused() {
        assert!(refused(&redirect(|_| {})).contains("circles"));
        assert!(refused(&redirect(|one| one.query = "a=b".into())).contains("circles"));
        for change in [
            |one: &mut Redirect| one.protocol = "HTTPS".into(),
            |one: &mut Redirect| one.port = "8443".into(),
            |one: &mut Redirect| one.host = "www.#{host}".into(),
            |one: &mut Redirect| one.path = "/v2/#{path}".into(),
        ] {
            assert!(redirect(change).check().is_ok());
        }
    }

    #[test]
    fn what_would_break_out_of_the_header_is_refused() {
        for change in [
            |one: &mut Redirect| one.host = "a b".into(),
            |one: &mut Redirect| one.host = "evil.example/".into(),
            |one: &mut Redirect| one.path = "/a\r\nset-cookie: b".into(),
            |one: &mut Redirect| one.query = "a\n".into(),
            |one: &mut Redirect| one.port = "0".into(),
            |one: &mut Redirect| one.protocol = "ftp".into(),
        ] {
            refused(&redirect(change));
        }
    }

    #[test]
    fn a_fixed_response_is_bounded_and_no_redirect() {
        let response = |status_code, content_type: &str, body: String| {
            Action::FixedResponse(FixedResponse {
                status_code,
                content_type: content_type.into(),
                body,
            })
        };
        assert!(response(503, "text/plain", "later".into()).check().is_ok());
        assert!(response(200, "", String::new()).check().is_ok());
        assert!(refused(&response(302, "", String::new())).contains("302"));
        assert!(refused(&response(200, "image/png", String::new())).contains("image/png"));
        assert!(refused(&response(200, "", "x".repeat(1025))).contains("1025"));
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "stored")]
        action: Action,
    }

    fn read_back(value: &impl Serialize) -> Action {
        let bytes = rmp_serde::to_vec_named(value).unwrap();
        let holder: Holder = rmp_serde::from_slice(&bytes).unwrap();
        holder.action
    }

    #[test]
    fn a_stored_list_of_target_groups_is_a_forward_action() {
        #[derive(Serialize)]
        struct Before {
            action: Vec<Forward>,
        }
        let groups = vec![Forward {
            target_group: TargetGroupName::new("web"),
            weight: 1,
        }];
        let before = Before {
            action: groups.clone(),
        };
        let now = Action::Forward {
            groups,
            stickiness: None,
        };
        assert_eq!(read_back(&before), now);
    }

    #[test]
    fn every_action_is_read_back_as_it_was_stored() {
        let actions = [
            Action::Forward {
                groups: vec![Forward {
                    target_group: TargetGroupName::new("web"),
                    weight: 7,
                }],
                stickiness: Some(60),
            },
            redirect(|one| one.protocol = "HTTPS".into()),
            Action::FixedResponse(FixedResponse {
                status_code: 503,
                content_type: "text/plain".into(),
                body: "later".into(),
            }),
        ];
        for action in actions {
            let stored = Holder {
                action: action.clone(),
            };
            assert_eq!(read_back(&stored), action);
        }
    }
}
