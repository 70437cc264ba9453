//! Lists in pages: `maxResults` and `nextToken`, as ECS has them.
//!
//! A token names the last item of the page before, so a page is right even when items have come
//! and gone since.

use roadstead_core::Rejection;

const PREFIX: &str = "after:";

/// One page and the token of the next.
pub(super) type Page = (Vec<String>, Option<String>);

/// Cuts a page out of `sorted`, which must always come in the same order.
pub(super) fn page(
    sorted: impl IntoIterator<Item = String>,
    token: Option<&str>,
    most: Option<i32>,
    default: usize,
) -> Result<Page, Rejection> {
    let size = match most {
        None => default,
        Some(most) => usize::try_from(most)
            .ok()
            .filter(|most| (1..=100).contains(most))
            .ok_or_else(|| Rejection::invalid("maxResults must be 1 to 100."))?,
    };
    let mut rest = sorted.into_iter();
    if let Some(token) = token {
        let last = token.strip_prefix(PREFIX).ok_or_else(invalid_token)?;
        if !rest.any(|item| item == last) {
            return Err(invalid_token());
        }
    }
    let items: Vec<String> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("{PREFIX}{last}"));
    Ok((items, next))
}

fn invalid_token() -> Rejection {
    Rejection::invalid("Invalid token in nextToken: list again from the beginning.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    #[test]
    fn pages_follow_one_another_and_the_last_has_no_token() {
        let (first, token) = page(items(), None, Some(2), 100).unwrap();
        assert_eq!(first, ["a", "b"]);
        let (second, token) = page(items(), token.as_deref(), Some(2), 100).unwrap();
        assert_eq!((second, token), (vec!["c".to_owned()], None));
    }

    #[test]
    fn a_bad_token_and_a_bad_size_are_refused() {
        assert!(page(items(), Some("rubbish"), None, 100).is_err());
        assert!(page(items(), Some("after:z"), None, 100).is_err());
        assert!(page(items(), None, Some(0), 100).is_err());
        assert!(page(items(), None, Some(101), 100).is_err());
    }
}
