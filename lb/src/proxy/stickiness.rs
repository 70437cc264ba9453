//! Keeps a client with what it got first, by a cookie, as ALB does.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::routing::Forward;
use crate::table::TargetGroup;

const GROUP: &str = "AWSALBTG";

/// What a client is to remember.
#[derive(Debug)]
pub(super) struct Sticky {
    group: Arc<TargetGroup>,
    duration: Duration,
}

/// Returns the group that the client remembers, if it may still have requests.
pub(super) fn remembered<'a>(
    headers: &HeaderMap,
    forward: &'a Forward<Arc<TargetGroup>>,
) -> Option<&'a Arc<TargetGroup>> {
    forward.stickiness?;
    let mark = cookie(headers, GROUP)?;
    let mut groups = forward.groups.iter().filter(|choice| choice.weight > 0);
    let found = groups.find(|choice| choice.group.mark == mark);
    found.map(|choice| &choice.group)
}

impl Sticky {
    /// Returns what a client remembers of a group that its request goes to.
    pub(super) fn to(
        group: &Arc<TargetGroup>,
        forward: &Forward<Arc<TargetGroup>>,
    ) -> Option<Self> {
        let group = Arc::clone(group);
        let duration = forward.stickiness?;
        Some(Self { group, duration })
    }

    /// Adds the cookies to an answer: one as ever, and its twin for requests from other sites.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        let (mark, seconds) = (&self.group.mark, self.duration.as_secs());
        for cookie in [
            format!("{GROUP}={mark}; Max-Age={seconds}; Path=/"),
            format!("{GROUP}CORS={mark}; Max-Age={seconds}; Path=/; SameSite=None; Secure"),
        ] {
            let value = HeaderValue::try_from(cookie);
            headers.append(SET_COOKIE, value.expect("a mark is of hexadecimal digits"));
        }
    }
}

/// Returns the value of a cookie, or of its twin.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.filter_map(|line| line.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let key = key.strip_suffix("CORS").unwrap_or(key);
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_under_its_twin_s_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; AWSALBTGX=no"));
        assert_eq!(cookie(&headers, GROUP), None);
        headers.append(COOKIE, HeaderValue::from_static("c=d;AWSALBTGCORS=7f"));
        assert_eq!(cookie(&headers, GROUP), Some("7f"));
    }
}
