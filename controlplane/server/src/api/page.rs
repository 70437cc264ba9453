//! Lists in pages: `maxResults` and `nextToken`, as ECS has them.
//!
//! A token names the last item of the page before by its key, so a page is right even when that item
//! and others have come and gone since.

use std::cmp::Ordering;

use roadstead_core::Rejection;

const PREFIX: &str = "after:";

/// One page and the token of the next.
pub(super) type Page = (Vec<String>, Option<String>);

/// An item of a list, and the text by which the list is sorted.
pub(super) struct Item {
    pub(super) key: String,
    pub(super) text: String,
}

impl From<String> for Item {
    /// An item that is sorted by what it says.
    fn from(text: String) -> Self {
        Self {
            key: text.clone(),
            text,
        }
    }
}

/// What a request says of the page that it wants.
pub(super) struct Wanted<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) most: Option<i32>,
    pub(super) default: usize,
    pub(super) descending: bool,
}

impl<'a> Wanted<'a> {
    /// Returns what a request wants of a list that has pages of 100 by default, in ascending order.
    pub(super) fn hundred(token: Option<&'a str>, most: Option<i32>) -> Self {
        Self {
            token,
            most,
            default: 100,
            descending: false,
        }
    }
}

/// Cuts a page out of `items`.
pub(super) fn page<T: Into<Item>>(
    items: impl IntoIterator<Item = T>,
    wanted: &Wanted<'_>,
) -> Result<Page, Rejection> {
    let size = match wanted.most {
        None => wanted.default,
        Some(most) => usize::try_from(most)
            .ok()
            .filter(|most| (1..=100).contains(most))
            .ok_or_else(|| Rejection::invalid("maxResults must be 1 to 100."))?,
    };
    let order = |one: &str, other: &str| -> Ordering {
        let ascending = one.cmp(other);
        if wanted.descending {
            ascending.reverse()
        } else {
            ascending
        }
    };
    let mut items: Vec<Item> = items.into_iter().map(Into::into).collect();
    if let Some(token) = wanted.token {
        let last = token.strip_prefix(PREFIX).ok_or_else(|| {
            Rejection::invalid("Invalid token in nextToken: list again from the beginning.")
        })?;
        items.retain(|item| order(&item.key, last) == Ordering::Greater);
    }
    items.sort_by(|one, other| order(&one.key, &other.key));
    let more = items.len() > size;
    items.truncate(size);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("{PREFIX}{}", last.key));
    Ok((items.into_iter().map(|item| item.text).collect(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<String> {
        ["b", "c", "a"].map(str::to_owned).to_vec()
    }

    fn wanted(token: Option<&str>, most: Option<i32>) -> Wanted<'_> {
        Wanted {
            token,
            most,
            default: 100,
            descending: false,
        }
    }

    #[test]
    fn pages_follow_one_another_and_the_last_has_no_token() {
        let (first, token) = page(items(), &wanted(None, Some(2))).unwrap();
        assert_eq!(first, ["a", "b"]);
        let (second, token) = page(items(), &wanted(token.as_deref(), Some(2))).unwrap();
        assert_eq!((second, token), (vec!["c".to_owned()], None));
    }

    #[test]
    fn a_page_goes_on_where_its_predecessor_ended_although_that_item_is_gone() {
        let left = items().into_iter().filter(|item| item != "b");
        assert_eq!(page(left, &wanted(Some("after:b"), None)).unwrap().0, ["c"]);
    }

    #[test]
    fn a_list_can_descend() {
        let wanted = Wanted {
            descending: true,
            ..wanted(Some("after:c"), None)
        };
        assert_eq!(page(items(), &wanted).unwrap().0, ["b", "a"]);
    }

    #[test]
    fn a_bad_token_and_a_bad_size_are_refused() {
        assert!(page(items(), &wanted(Some("rubbish"), None)).is_err());
        assert!(page(items(), &wanted(None, Some(0))).is_err());
        assert!(page(items(), &wanted(None, Some(101))).is_err());
    }
}
