//! The path of a request as servers may read it.
//!
//! All servers resolve escapes (RFC 3986 2.1). Of what else stands for what they differ: for some `//admin`, `/x/../admin` and `/x%2F..%2Fadmin`
//! are `/admin`, for others they are not. A rule that keeps clients from `/admin`, or leads there, must not depend on it.

use super::pattern::Pattern;

/// How servers may read a path that is not simply what it says.
#[derive(Debug, Clone)]
pub(crate) struct Readings {
    /// With its escapes resolved, but for those of separators.
    pub(super) strict: Vec<u8>,
    /// With those resolved too, and without parameters, empty and dot segments, where that is another path.
    pub(super) lenient: Option<Vec<u8>>,
    /// There are more than these two: `..` takes away what not everybody takes for a segment.
    pub(super) are_more: bool,
}

impl Readings {
    /// Returns the readings of a path; `None` if everybody reads it as it is written.
    pub(crate) fn of(path: &str) -> Option<Box<Self>> {
        if is_plain(path.as_bytes()) {
            return None;
        }
        let strict = decoded(path, |byte| !is_separator(byte));
        let resolved = decoded(path, |_| true);
        let lenient = without_dots(&resolved);
        let mut segments = resolved.split(|byte| is_separator(*byte));
        let goes_up = segments.any(|segment| without_parameters(segment) == b"..");
        let separators = |bytes: &[u8]| bytes.iter().filter(|byte| is_separator(**byte)).count();
        let is_doubtful = resolved.contains(&b'\\')
            || separators(&resolved) > separators(&strict)
            || resolved.windows(2).any(|two| two == b"//");
        Some(Box::new(Self {
            are_more: goes_up && is_doubtful,
            lenient: (lenient != strict).then_some(lenient),
            strict,
        }))
    }
}

/// A pattern of paths, for each way to read them.
#[derive(Debug, Clone)]
pub(crate) struct PathPattern {
    strict: Pattern,
    /// Where it is another one.
    lenient: Option<Pattern>,
}

impl PathPattern {
    /// Returns a pattern that heeds case. Its escapes are resolved, but for those of wildcards.
    pub(crate) fn new(text: &str) -> Self {
        let is_wildcard = |byte| matches!(byte, b'*' | b'?');
        let strict = decoded(text, |byte| !is_wildcard(byte) && !is_separator(byte));
        let lenient = decoded(text, |byte| !is_wildcard(byte));
        Self {
            lenient: (lenient != strict).then(|| Pattern::heeding(&lenient)),
            strict: Pattern::heeding(&strict),
        }
    }

    pub(super) fn matches(&self, reading: Reading<'_>) -> bool {
        match reading {
            Reading::Strict(path) => self.strict.matches(path),
            Reading::Lenient(path) => self.lenient.as_ref().unwrap_or(&self.strict).matches(path),
        }
    }
}

/// A path in one of the ways to read it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading<'a> {
    Strict(&'a [u8]),
    Lenient(&'a [u8]),
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    !path.iter().any(|byte| {
        let is_unusual =
            matches!(byte, b'%' | b'\\' | b';') || (after_slash && matches!(byte, b'/' | b'.'));
        after_slash = *byte == b'/';
        is_unusual
    })
}

/// Resolves those escapes that stand for a byte which `wanted` says yes to. Other escapes get capital letters (RFC 3986 6.2.2.1); what is no
/// escape stays as it is.
fn decoded(text: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        match escaped(rest) {
            Some(byte) if wanted(byte) => bytes.push(byte),
            Some(_) => bytes.extend(rest[..3].iter().map(u8::to_ascii_uppercase)),
            None => {
                bytes.push(*first);
                rest = behind;
                continue;
            }
        }
        rest = &rest[3..];
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

/// Some servers take what is behind a semicolon for parameters of a segment (RFC 3986 3.3).
fn without_parameters(segment: &[u8]) -> &[u8] {
    let name = segment.split(|byte| *byte == b';').next();
    name.unwrap_or_default()
}

/// RFC 3986 5.2.4, and without parameters and the segments that are empty, but for the last.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_open = false;
    for segment in path.split(|byte| is_separator(*byte)) {
        let segment = without_parameters(segment);
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
            ("/x%2F..%2fadmin", "/x%2F..%2Fadmin", Some("/admin")),
            ("/x%5c..%5Cadmin", "/x%5C..%5Cadmin", Some("/admin")),
            ("/x/..;a=b/admin;c", "/x/..;a=b/admin;c", Some("/admin")),
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
        let pattern = PathPattern::new("/caf%c3%a9/*%2a");
        assert!(pattern.matches(Reading::Strict("/café/x%2A".as_bytes())));
        assert!(!pattern.matches(Reading::Strict("/café/x*".as_bytes())));
    }

    #[test]
    fn a_pattern_may_have_an_escaped_separator() {
        let pattern = PathPattern::new("/projects/a%2fb");
        let readings = Readings::of("/projects/a%2Fb").unwrap();
        assert!(pattern.matches(Reading::Strict(&readings.strict)));
        assert!(pattern.matches(Reading::Lenient(&readings.lenient.unwrap())));
        assert!(!pattern.matches(Reading::Strict(b"/projects/a/b")));
    }

    #[test]
    fn what_goes_up_from_a_doubtful_segment_can_be_read_in_more_than_two_ways() {
        for (path, are_more) in [
            ("/x//../admin/u", true),
            ("/x%2Fy/../admin/u", true),
            ("/x\\y/../admin", true),
            ("/x%5Cy/..;/admin", true),
            ("/x/../admin/u", false),
            ("/x//y", false),
            ("/x%2Fy", false),
            ("/x/../", false),
        ] {
            assert_eq!(Readings::of(path).unwrap().are_more, are_more, "{path}");
        }
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
