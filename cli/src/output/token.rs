//! Join tokens, for people.

use roadstead_client::proto::console::JoinToken;

use super::grid::{grid, text, time};

/// Returns one row for each token.
pub(crate) fn tokens(tokens: &[JoinToken]) -> String {
    let rows = tokens.iter().map(|token| {
        [
            text(token.id.as_ref()),
            text(token.role.as_ref()),
            time(token.expires_at),
        ]
    });
    grid(["TOKEN", "ROLE", "EXPIRES"], rows)
}
