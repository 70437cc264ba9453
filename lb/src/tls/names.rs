//! Which certificate goes with the name that a client asks for (SNI).
//!
//! Pure. An exact name goes before a wildcard, which stands for exactly one label (RFC 9525 6.3), and that before the
//! listener's default: a client that names nothing, or what nobody has, is shown that one, as ALB does.

use std::collections::BTreeMap;

/// Certificates by name; `T` is what stands for one.
#[derive(Debug)]
pub(super) struct Names<T> {
    exact: BTreeMap<String, Vec<T>>,
    /// `*.example.com` under `example.com`.
    wildcards: BTreeMap<String, Vec<T>>,
    default: T,
}

impl<T: Clone> Names<T> {
    /// Returns the certificates by the names they are good for; the first is the default. `None` if there is none.
    pub(super) fn new<N: AsRef<str>>(certificates: Vec<(&[N], T)>) -> Option<Self> {
        let (_, default) = certificates.first()?;
        let mut found = Self {
            default: default.clone(),
            exact: BTreeMap::new(),
            wildcards: BTreeMap::new(),
        };
        for (names, certificate) in certificates {
            for name in names {
                let name = name.as_ref().to_ascii_lowercase();
                let (map, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut found.wildcards, parent.to_owned()),
                    None => (&mut found.exact, name),
                };
                map.entry(key).or_default().push(certificate.clone());
            }
        }
        Some(found)
    }

    /// Returns the certificates for a name, the best first.
    pub(super) fn candidates(&self, name: Option<&str>) -> impl Iterator<Item = &T> {
        let name = name.map(str::to_ascii_lowercase);
        let exact = name.as_ref().and_then(|name| self.exact.get(name));
        let parent = name.as_ref().and_then(|name| name.split_once('.'));
        let wildcard = parent.and_then(|(_, parent)| self.wildcards.get(parent));
        let named = exact.into_iter().chain(wildcard).flatten();
        named.chain([&self.default])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(certificates: &[(&'static str, &[&str])], name: Option<&str>) -> &'static str {
        let certificates = certificates.iter().map(|(arn, names)| (*names, *arn));
        let names = Names::new(certificates.collect()).unwrap();
        names.candidates(name).next().unwrap()
    }

    const THREE: [(&str, &[&str]); 3] = [
        ("default", &["example.org"]),
        ("wild", &["*.Example.com"]),
        ("exact", &["shop.example.com", "other.net"]),
    ];

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_a_wildcard_before_the_default() {
        assert_eq!(chosen(&THREE, Some("shop.example.com")), "exact");
        assert_eq!(chosen(&THREE, Some("SHOP.example.COM")), "exact");
        assert_eq!(chosen(&THREE, Some("www.example.com")), "wild");
        assert_eq!(chosen(&THREE, Some("nobody.net")), "default");
        assert_eq!(chosen(&THREE, None), "default");
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        assert_eq!(chosen(&THREE, Some("example.com")), "default");
        assert_eq!(chosen(&THREE, Some("a.b.example.com")), "default");
    }

    #[test]
    fn certificates_of_one_name_follow_each_other_in_the_listeners_order() {
        let two: Vec<(&[&str], _)> = vec![(&["a.net"], "ecdsa"), (&["a.net"], "rsa")];
        let names = Names::new(two).unwrap();
        let found: Vec<_> = names.candidates(Some("a.net")).copied().collect();
        assert_eq!(found, ["ecdsa", "rsa", "ecdsa"]);
    }

    #[test]
    fn without_a_certificate_there_is_no_choice() {
        assert!(Names::<()>::new::<&str>(Vec::new()).is_none());
    }
}
