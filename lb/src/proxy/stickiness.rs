//! Keeps a client with the target group and the target that it got first, by cookies, as ALB does.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::response::Headers;
use crate::routing::Forward;
use crate::table::{Stickiness, TargetGroup};
use crate::target::Target;

const GROUP: &str = "AWSALBTG";
const TARGET: &str = "AWSALB";
/// Goes with a cookie of the application's own.
const APPLICATION: &str = "AWSALBAPP-0";

type Shares = Forward<Arc<TargetGroup>>;

/// What a client is to remember.
#[derive(Debug)]
pub(super) struct Sticky {
    for_group: Option<Duration>,
    group: Arc<TargetGroup>,
    target: Arc<Target>,
}

/// Returns the group that the client remembers, if it may still have requests.
pub(super) fn group<'a>(headers: &HeaderMap, forward: &'a Shares) -> Option<&'a Arc<TargetGroup>> {
    forward.stickiness?;
    let mark = cookie(headers, GROUP)?;
    let mut groups = forward.groups.iter().filter(|choice| choice.weight > 0);
    let found = groups.find(|choice| choice.group.mark == mark);
    found.map(|choice| &choice.group)
}

/// Returns the index of the target that the client remembers; the caller looks whether it is fit.
pub(super) fn target(headers: &HeaderMap, group: &TargetGroup) -> Option<usize> {
    let mark = match group.stickiness.as_ref()? {
        Stickiness::LoadBalancer(_) => cookie(headers, TARGET)?,
        // Without the application's own cookie its session is over.
        Stickiness::Application { name, .. } => {
            cookie(headers, name).and_then(|_| cookie(headers, APPLICATION))?
        }
    };
    let mut targets = group.targets.iter();
    targets.position(|target| target.mark() == mark)
}

impl Sticky {
    /// Returns what a client is to remember of where its request goes, if anything.
    pub(super) fn to(
        forward: &Shares,
        group: &Arc<TargetGroup>,
        target: &Arc<Target>,
    ) -> Option<Self> {
        let sticky = forward.stickiness.is_some() || group.stickiness.is_some();
        sticky.then(|| Self {
            for_group: forward.stickiness,
            group: Arc::clone(group),
            target: Arc::clone(target),
        })
    }

    /// Adds the cookies to an answer.
    pub(super) fn add_to(&self, headers: &mut Headers) {
        if let Some(duration) = self.for_group {
            add(headers, GROUP, &self.group.mark, duration);
        }
        match &self.group.stickiness {
            Some(Stickiness::LoadBalancer(duration)) => {
                add(headers, TARGET, self.target.mark(), *duration);
            }
            Some(Stickiness::Application { name, duration }) if sets(headers, name) => {
                add(headers, APPLICATION, self.target.mark(), *duration);
            }
            Some(Stickiness::Application { .. }) | None => {}
        }
    }
}

/// Adds a cookie, and its twin for requests from other sites.
fn add(headers: &mut Headers, name: &str, mark: &str, duration: Duration) {
    let seconds = duration.as_secs();
    let own = format!("{name}={mark}; Max-Age={seconds}; Path=/");
    // ALB names the twin of AWSALBAPP-0 otherwise than the others', namely not at all.
    let twin = (name != APPLICATION)
        .then(|| format!("{name}CORS={mark}; Max-Age={seconds}; Path=/; SameSite=None; Secure"));
    for cookie in std::iter::once(own).chain(twin) {
        let value = HeaderValue::try_from(cookie);
        headers.append(
            SET_COOKIE,
            value.expect("a mark is of hexadecimal digits, and the names are ours"),
        );
    }
}

/// Returns whether an answer sets a cookie.
fn sets(headers: &Headers, name: &str) -> bool {
    let mut found = false;
    headers.each(|header, value| {
        let is_cookie = header.eq_ignore_ascii_case(SET_COOKIE.as_str().as_bytes());
        let line = str::from_utf8(value).ok().filter(|_| is_cookie);
        let pair = line.and_then(|line| line.split_once('='));
        found |= pair.is_some_and(|(known, _)| known.trim() == name);
    });
    found
}

/// Returns the value of a cookie of a request, or of its twin.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.filter_map(|line| line.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let is_twin = key.strip_suffix("CORS") == Some(name);
        (key == name || is_twin).then_some(value)
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
        assert_eq!(cookie(&headers, "a"), Some("b"));
        headers.append(COOKIE, HeaderValue::from_static("c=d;AWSALBTGCORS=7f"));
        assert_eq!(cookie(&headers, GROUP), Some("7f"));
        assert_eq!(cookie(&headers, TARGET), None);
    }

    #[test]
    fn an_answer_sets_a_cookie_by_its_exact_name() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("session=1; Path=/"));
        let headers = Headers::Map(headers);
        assert!(sets(&headers, "session"));
        assert!(!sets(&headers, "sess"));
        assert!(!sets(&headers, "1; Path"));
    }
}
