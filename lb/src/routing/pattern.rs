//! Texts with wildcards: `*` stands for any number of characters, `?` for exactly one.

/// Matches a text. Most patterns have no wildcard or one at an end, and cost one comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    form: Form,
    /// Disregards case; the bytes below are in lower case then.
    folds: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Exact(Box<[u8]>),
    Begins(Box<[u8]>),
    Ends(Box<[u8]>),
    Glob(Box<[u8]>),
}

impl Pattern {
    /// Returns a pattern that disregards case.
    pub(crate) fn folding(text: &str) -> Self {
        Self::new(text.to_ascii_lowercase().as_bytes(), true)
    }

    /// Returns a pattern that heeds case.
    pub(crate) fn heeding(text: &[u8]) -> Self {
        Self::new(text, false)
    }

    fn new(text: &[u8], folds: bool) -> Self {
        let plain = |part: &[u8]| !part.contains(&b'*') && !part.contains(&b'?');
        let form = match text {
            text if plain(text) => Form::Exact(text.into()),
            [begin @ .., b'*'] if plain(begin) => Form::Begins(begin.into()),
            [b'*', end @ ..] if plain(end) => Form::Ends(end.into()),
            text => Form::Glob(text.into()),
        };
        Self { form, folds }
    }

    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match &self.form {
            Form::Exact(whole) => self.same(whole, text),
            Form::Begins(begin) => {
                let head = text.get(..begin.len());
                head.is_some_and(|head| self.same(begin, head))
            }
            Form::Ends(end) => {
                let from = text.len().checked_sub(end.len());
                from.is_some_and(|from| self.same(end, &text[from..]))
            }
            Form::Glob(pattern) if self.folds => {
                glob(pattern, text, |byte| byte.to_ascii_lowercase())
            }
            Form::Glob(pattern) => glob(pattern, text, |byte| byte),
        }
    }

    fn same(&self, own: &[u8], text: &[u8]) -> bool {
        if self.folds {
            own.eq_ignore_ascii_case(text)
        } else {
            own == text
        }
    }
}

/// Matches in O(pattern × text) at worst: only the last `*` is ever tried again.
fn glob(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == fold(text[seen]) => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_any_number_of_characters_and_a_question_mark_exactly_one() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "x", true),
            ("/img/*.?pg", "/img/a/b.jpg", true),
            ("/img/*.?pg", "/img/a.pg", false),
            ("/img/*", "/img/", true),
            ("/img/*", "/img", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "x", false),
            ("", "", true),
        ] {
            let matched = Pattern::heeding(pattern.as_bytes()).matches(text.as_bytes());
            assert_eq!(matched, expected, "{pattern} on {text}");
            // The short ways say the same as the long one.
            let long = glob(pattern.as_bytes(), text.as_bytes(), |byte| byte);
            assert_eq!(long, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn case_counts_only_where_it_shall() {
        for (pattern, text) in [("Ab", "aB"), ("A*", "aB"), ("*B", "Ab"), ("A?c*", "aBCd")] {
            assert!(
                Pattern::folding(pattern).matches(text.as_bytes()),
                "{pattern}"
            );
            assert!(
                !Pattern::heeding(pattern.as_bytes()).matches(text.as_bytes()),
                "{pattern}"
            );
        }
    }
}
