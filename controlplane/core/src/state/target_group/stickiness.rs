//! How a client stays with a target.

use serde::{Deserialize, Serialize};

use crate::Rejection;
use crate::state::token::is_token;

/// ALB: a week, in seconds.
pub(crate) const LONGEST_STICKINESS: u32 = 604_800;
const LONGEST_COOKIE_NAME: usize = 128;

/// How a client stays with the target that it got first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stickiness {
    pub enabled: bool,
    /// Seconds that the load balancer's own cookie lasts.
    pub duration: u32,
    /// The cookie of the application that it goes with, and how long at most; empty: it goes with none.
    pub application_cookie: String,
    pub application_duration: u32,
    /// Whether it is the application's cookie that counts.
    pub by_application: bool,
}

impl Default for Stickiness {
    /// ELB's defaults.
    fn default() -> Self {
        Self {
            enabled: false,
            duration: 86_400,
            application_cookie: String::new(),
            application_duration: 86_400,
            by_application: false,
        }
    }
}

impl Stickiness {
    pub(super) fn check(&self) -> Result<(), Rejection> {
        for (key, seconds) in [
            ("stickiness.lb_cookie.duration_seconds", self.duration),
            (
                "stickiness.app_cookie.duration_seconds",
                self.application_duration,
            ),
        ] {
            if !(1..=LONGEST_STICKINESS).contains(&seconds) {
                return Err(Rejection::validation(format!(
                    "{key} must be 1 to {LONGEST_STICKINESS}, not {seconds}"
                )));
            }
        }
        let name = &self.application_cookie;
        if self.by_application && name.is_empty() {
            return Err(Rejection::validation(
                "stickiness.type app_cookie needs stickiness.app_cookie.cookie_name",
            ));
        }
        // RFC 6265 4.1.1: a token. None is given where the cookie is the load balancer's own.
        if name.len() > LONGEST_COOKIE_NAME || !(name.is_empty() || is_token(name)) {
            return Err(Rejection::validation(format!(
                "stickiness.app_cookie.cookie_name '{name}' is no cookie name of at most {LONGEST_COOKIE_NAME} characters"
            )));
        }
        if name.starts_with("AWSALB") {
            return Err(Rejection::validation(format!(
                "stickiness.app_cookie.cookie_name '{name}' begins with AWSALB, as only the load balancer's own do"
            )));
        }
        Ok(())
    }
}
