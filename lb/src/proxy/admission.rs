//! Refuses requests that cannot be passed on in good faith.
//!
//! The syntax and the framing of HTTP/1.1 are checked where the head is read. What remains is which host is meant, which a proxy must not
//! guess, and what h2 lets through.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version, request};

use super::refusal::Refusal;
use crate::client::MOST_HEADERS;
use crate::hop;
use crate::upstream::X_FORWARDED_FOR;

/// As many addresses may be in `X-Forwarded-For`, as with ALB.
const MOST_PROXIES: usize = 30;

/// Returns why a request is refused, if it is.
pub(super) fn check(head: &request::Parts) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    // Of HTTP/1.1 that was seen when the head was read.
    if head.version == Version::HTTP_2 {
        check_path(head)?;
        check_count(&head.headers)?;
        check_length(&head.headers)?;
    }
    check_authority(head)?;
    check_host(head)?;
    check_proxies(&head.headers)
}

/// As ALB: a request that has come so far mostly goes round in a circle.
fn check_proxies(headers: &HeaderMap) -> Result<(), Refusal> {
    // To look at all of them takes less than to hash a name that is none of the usual ones.
    let proxies = headers.iter().filter(|(name, _)| **name == X_FORWARDED_FOR);
    let addresses = proxies.flat_map(|(_, value)| hop::elements(value.as_bytes()));
    // RFC 9110 5.6.1.2: an empty element is none.
    if addresses.filter(|address| !address.is_empty()).count() > MOST_PROXIES {
        return Err(Refusal::TooManyProxies);
    }
    Ok(())
}

/// RFC 9113 8.3.1: a path begins with a slash, or is an asterisk.
fn check_path(head: &request::Parts) -> Result<(), Refusal> {
    match head.uri.path_and_query() {
        Some(path) if !path.as_str().starts_with(['/', '*']) => {
            Err(Refusal::BadRequest("the path does not begin with a slash"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Cookies, which HTTP/2 may send apart (RFC 9113 8.2.3), are one header.
fn check_count(headers: &HeaderMap) -> Result<(), Refusal> {
    let further_cookies = headers.get_all(COOKIE).iter().skip(1).count();
    if headers.len() - further_cookies > MOST_HEADERS {
        return Err(Refusal::TooManyHeaders);
    }
    Ok(())
}

/// HTTP/2 does without a length, and h2 takes two that are equal; a target in HTTP/1.1 would get two lines, where one has to be.
fn check_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if lengths.nth(1).is_some() {
        return Err(Refusal::BadRequest("the length is there twice"));
    }
    Ok(())
}

/// What two readers could take for two hosts is none (RFC 9110 4.2.4).
fn check_authority(head: &request::Parts) -> Result<(), Refusal> {
    match head.uri.authority().map(Authority::as_str) {
        Some(authority) if authority.contains('@') => {
            Err(Refusal::BadRequest("the host has user information"))
        }
        Some(authority) if !ends_with_its_port(authority) => {
            Err(Refusal::BadRequest("the host is malformed"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A request without a host, or with two, is malformed (RFC 9112 3.2).
fn check_host(head: &request::Parts) -> Result<(), Refusal> {
    let authority = head.uri.authority().map(Authority::as_str);
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // HTTP/2 has it elsewhere, and may say it in a header as well: the same one (RFC 9113 8.3.1).
        (None, _) if head.version == Version::HTTP_2 && authority.is_some() => {}
        (Some(host), None) if head.version == Version::HTTP_2 && is_another(host, authority) => {
            return Err(Refusal::BadRequest("the host header is not the authority"));
        }
        (None, _) if head.version > Version::HTTP_10 => {
            return Err(Refusal::BadRequest("the host header is missing"));
        }
        (Some(host), None) if !is_host(host) => {
            return Err(Refusal::BadRequest("the host header is malformed"));
        }
        (Some(_), Some(_)) => {
            return Err(Refusal::BadRequest("the host header is there twice"));
        }
        (None | Some(_), None) | (None, Some(_)) => {}
    }
    Ok(())
}

/// RFC 9112 3.2: a name with or without a port, or nothing. What two readers could take apart differently is none.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    if is_usual(bytes) {
        return true;
    }
    let plain = !bytes.contains(&b'@') && !bytes.contains(&b',');
    let is_authority = || {
        let authority = Authority::try_from(bytes);
        authority.is_ok_and(|authority| ends_with_its_port(authority.as_str()))
    };
    bytes.is_empty() || (plain && is_authority())
}

/// Returns whether a host is of the kind that most are: a name or an address of IPv4, with or without a port. Such a one needs no closer
/// look.
fn is_usual(host: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let name = host.iter().take_while(|byte| is_name(byte)).count();
    name > 0 && is_port(&host[name..])
}

/// Returns whether nothing but a number is behind the name (RFC 3986 3.2.3); `Authority` takes any word there.
fn ends_with_its_port(authority: &str) -> bool {
    let bytes = authority.as_bytes();
    let place = |wanted: u8| bytes.iter().position(|byte| *byte == wanted);
    let name_end = match bytes.first() {
        // An address, with colons of its own.
        Some(b'[') => place(b']').map(|bracket| bracket + 1),
        Some(_) | None => place(b':'),
    };
    is_port(&bytes[name_end.unwrap_or(bytes.len())..])
}

/// Returns whether what is behind a name is a port, or nothing.
fn is_port(behind: &[u8]) -> bool {
    match behind {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        [..] => false,
    }
}

fn is_another(host: &HeaderValue, authority: Option<&str>) -> bool {
    authority.is_some_and(|authority| !authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let builder = headers.iter().fold(Request::builder(), |builder, header| {
            builder.header(header.0, header.1)
        });
        check(&builder.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn exactly_one_host_is_asked_for() {
        assert_eq!(checked(&[("host", "a")]), Ok(()));
        assert!(matches!(checked(&[]), Err(Refusal::BadRequest(_))));
        assert!(matches!(
            checked(&[("host", "a"), ("host", "a")]),
            Err(Refusal::BadRequest(_))
        ));
    }

    #[test]
    fn a_request_may_have_passed_thirty_proxies() {
        let through = |addresses: &str| {
            checked(&[
                ("host", "a"),
                ("x-forwarded-for", "::1"),
                ("x-forwarded-for", addresses),
            ])
        };
        let most = vec!["192.0.2.1"; MOST_PROXIES - 1].join(", ");
        assert_eq!(through(&most), Ok(()));
        assert_eq!(
            through(&format!("{most}, ,")),
            Ok(()),
            "nothing is no address"
        );
        let too_many = through(&format!("{most}, 192.0.2.1"));
        assert_eq!(too_many, Err(Refusal::TooManyProxies));
        let two_hosts = [
            ("host", "a"),
            ("host", "b"),
            ("x-forwarded-for", &format!("{most}, a, b")),
        ];
        assert!(matches!(checked(&two_hosts), Err(Refusal::BadRequest(_))));
    }

    #[test]
    fn a_length_is_there_once() {
        let lengths = |all: &[&str]| {
            let request = Request::builder()
                .version(Version::HTTP_2)
                .uri("https://a.net/");
            let add = |request: http::request::Builder, one: &&str| {
                request.header("content-length", *one)
            };
            let request = all.iter().fold(request, add);
            check(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(lengths(&["1"]), Ok(()));
        assert!(matches!(lengths(&["1", "1"]), Err(Refusal::BadRequest(_))));
    }

    #[test]
    fn as_many_headers_are_let_through_as_in_http_1_however_many_parts_the_cookies_have() {
        let with = |headers: usize, cookies: usize| {
            let request = Request::builder()
                .version(Version::HTTP_2)
                .uri("https://a.net/");
            let request =
                (0..headers).fold(request, |request, n| request.header(format!("x-{n}"), "1"));
            let request = (0..cookies).fold(request, |request, _| request.header("cookie", "a=b"));
            check(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(with(MOST_HEADERS, 0), Ok(()));
        assert_eq!(with(MOST_HEADERS - 1, 50), Ok(()));
        assert_eq!(with(MOST_HEADERS + 1, 0), Err(Refusal::TooManyHeaders));
        assert_eq!(with(MOST_HEADERS, 2), Err(Refusal::TooManyHeaders));
    }

    #[test]
    fn a_host_is_a_name_with_or_without_a_port() {
        for host in [
            "",
            "a.example",
            "a.example:80",
            "a:",
            "[::1]",
            "[::1]:80",
            "a_b",
        ] {
            assert_eq!(checked(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "a@b", "a b", "a/b", "a,b", "a?b", "a#b", "\u{e9}", "a:b", "a:80b", "[::1]b", "[::1]:b",
        ] {
            let refused = checked(&[("host", host)]);
            assert!(matches!(refused, Err(Refusal::BadRequest(_))), "{host}");
        }
    }

    #[test]
    fn http_1_0_may_do_without_a_host() {
        let request = Request::builder().version(Version::HTTP_10).body(());
        assert_eq!(check(&request.unwrap().into_parts().0), Ok(()));
    }

    #[test]
    fn with_http_2_the_authority_is_the_host_and_a_header_may_only_repeat_it() {
        let checked = |uri: &str, host: Option<&str>| {
            let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            check(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(checked("https://a.net/", None), Ok(()));
        assert_eq!(checked("https://a.net/", Some("A.net")), Ok(()));
        assert_eq!(checked("/", Some("a.net")), Ok(()));
        for (uri, host) in [
            ("/", None),
            ("https://a.net/", Some("b.net")),
            ("https://a@b.net/", None),
            ("https://a:b/", None),
        ] {
            let checked = checked(uri, host);
            assert!(matches!(checked, Err(Refusal::BadRequest(_))), "{uri}");
        }
    }
}
