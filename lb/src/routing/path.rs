//! The path of a request as servers may read it.
//!
//! All servers resolve escapes (RFC 3986 2.1). Of what else stands for what they differ: for some `//admin`, `/x/../admin` and `/x%2F..%2Fadmin`
//! are `/admin`, for others they are not. A rule that keeps clients from `/admin`, or leads there, must not depend on it.

/// How servers may read a path that is not simply what it says.
#[derive(Debug, Clone)]
pub(crate) struct Readings {
    /// With its escapes resolved, but for those of separators.
    pub(super) strict: Vec<u8>,
    /// With those resolved too, and without empty and dot segments, where that is another path.
    pub(super) lenient: Option<Vec<u8>>,
}

impl Readings {
    /// Returns the readings of a path; `None` if everybody reads it as it is written.
    pub(crate) fn of(path: &str) -> Option<Box<Self>> {
        if is_plain(path.as_bytes()) {
            return None;
        }
        let strict = decoded(path, |byte| !matches!(byte, b'/' | b'\\'));
        let lenient = without_dots(&decoded(path, |_| true));
        Some(Box::new(Self {
            lenient: (lenient != strict).then_some(lenient),
            strict,
        }))
    }
}

/// Returns the path of a pattern with its escapes resolved, but for those of wildcards.
pub(super) fn pattern(text: &str) -> Vec<u8> {
    decoded(text, |byte| !matches!(byte, b'*' | b'?'))
}

fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    !path.iter().any(|byte| {
        let is_unusual =
            matches!(byte, b'%' | b'\\') || (after_slash && matches!(byte, b'/' | b'.'));
        after_slash = *byte == b'/';
        is_unusual
    })
}

/// Resolves those escapes that stand for a byte which `wanted` says yes to; what is no escape stays as it is.
fn decoded(text: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        match escaped(rest).filter(|byte| wanted(*byte)) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// Returns the byte for which the escape stands with which a text begins (RFC 3986 2.1).
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// RFC 3986 5.2.4, and without the segments that are empty, but for the last.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_open = false;
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        ends_open = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut plain = vec![b'/'];
    plain.extend_from_slice(&kept.join(&b'/'));
    if ends_open && !kept.is_empty() {
        plain.push(b'/');
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn a_path_is_read_in_one_way_or_in_two() {
        for (path, strict, lenient) in [
            ("/", "/", None),
            ("*", "*", None),
            ("", "", None),
            ("/admin/users", "/admin/users", None),
            ("/a.b/.../c~", "/a.b/.../c~", None),
            ("/.hidden", "/.hidden", None),
            ("/%61dmin/users", "/admin/users", None),
            ("/caf%C3%A9", "/café", None),
            ("/50%", "/50%", None),
            ("/%zz/%4", "/%zz/%4", None),
            ("/%2561", "/%61", None),
            ("//admin///users", "//admin///users", Some("/admin/users")),
            (
                "/x/../admin/./users",
                "/x/../admin/./users",
                Some("/admin/users"),
            ),
            ("/a%2Eb", "/a.b", None),
            ("/x/%2e%2E/admin", "/x/../admin", Some("/admin")),
            ("/x%2F..%2fadmin", "/x%2F..%2fadmin", Some("/admin")),
            ("/x%5c..%5Cadmin", "/x%5c..%5Cadmin", Some("/admin")),
            ("/x\\..\\admin", "/x\\..\\admin", Some("/admin")),
            ("/../../admin", "/../../admin", Some("/admin")),
            ("/admin/..", "/admin/..", Some("/")),
            ("/a/b/..", "/a/b/..", Some("/a/")),
            ("/a//", "/a//", Some("/a/")),
            ("/a/.", "/a/.", Some("/a/")),
        ] {
            let Some(readings) = Readings::of(path) else {
                assert_eq!((path, None), (strict, lenient));
                continue;
            };
            assert_eq!(text(&readings.strict), strict, "{path}");
            let other = readings.lenient.map(|other| text(&other));
            assert_eq!(other.as_deref(), lenient, "{path}");
        }
    }

    #[test]
    fn most_paths_are_what_they_say() {
        assert!(Readings::of("/a/b.c/d").is_none());
    }

    #[test]
    fn of_a_pattern_the_wildcards_stay_apart_from_what_stands_for_their_characters() {
        assert_eq!(pattern("/caf%c3%a9/*%2a?%3F"), "/café/*%2a?%3F".as_bytes());
    }

    proptest! {
        #[test]
        fn the_lenient_reading_has_no_segment_that_leads_elsewhere(path in "/([a-c./]|%2[eEfF]|%61){0,24}") {
            let readings = Readings::of(&path);
            let plain = readings.map_or(path, |readings| text(&readings.lenient.unwrap_or(readings.strict)));
            prop_assert!(plain.starts_with('/'));
            prop_assert!(!plain.contains("//"), "{plain}");
            let mut segments = plain.split('/');
            prop_assert!(!segments.any(|segment| [".", ".."].contains(&segment)), "{plain}");
        }
    }
}
