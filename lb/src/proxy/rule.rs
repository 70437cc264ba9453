//! Answers that a rule gives without a target.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, LOCATION};

use super::Own;
use super::refusal::Refusal;
use crate::client::Client;
use crate::routing::{Asked, FixedResponse, Redirect};

/// Sends the client elsewhere.
pub(super) fn redirect(
    redirect: &Redirect,
    asked: &Asked<'_>,
    client: &Client,
    priority: u32,
) -> Own {
    let Some(location) = redirect.location(asked, client.scheme, client.door.port) else {
        return Refusal::BadRequest("its target cannot be redirected").into();
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = redirect.status;
    response.headers_mut().insert(LOCATION, location);
    Own::Rule(priority, "redirect", Box::new(response))
}

/// Says what the rule says.
pub(super) fn fixed(fixed: &FixedResponse, priority: u32) -> Own {
    let mut response = Response::new(fixed.body.clone());
    *response.status_mut() = fixed.status;
    if let Some(content_type) = &fixed.content_type {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    Own::Rule(priority, "fixed-response", Box::new(response))
}
