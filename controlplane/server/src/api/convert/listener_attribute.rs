//! The attributes of listeners. ELB has others, under names of its own; these are Roadstead's.

use roadstead_core::Rejection;
use roadstead_core::state::load_balancer::{ListenerAttribute, ListenerAttributes};
use roadstead_proto::elb;

use super::attribute::{number, one_of};

const REQUESTS_PER_SECOND: &str = "roadstead.rate_limit.requests_per_second";
const BURST: &str = "roadstead.rate_limit.burst";
const ALLOWED: &str = "roadstead.source_ips.allowed";
const DENIED: &str = "roadstead.source_ips.denied";
const PROXY_PROTOCOL: &str = "roadstead.proxy_protocol.enabled";

/// Describes the attributes of a listener.
pub(crate) fn to_proto(attributes: &ListenerAttributes) -> Vec<elb::ListenerAttribute> {
    [
        (
            REQUESTS_PER_SECOND,
            attributes.requests_per_second.to_string(),
        ),
        (BURST, attributes.burst.to_string()),
        (ALLOWED, attributes.allowed_sources.join(",")),
        (DENIED, attributes.denied_sources.join(",")),
        (PROXY_PROTOCOL, attributes.proxy_protocol.to_string()),
    ]
    .map(|(key, value)| elb::ListenerAttribute {
        key: Some(key.to_owned()),
        value: Some(value),
    })
    .into()
}

/// Reads changes.
pub(crate) fn from_proto(
    given: &[elb::ListenerAttribute],
) -> Result<Vec<ListenerAttribute>, Rejection> {
    let each = given.iter().map(|attribute| {
        let key = attribute.key.as_deref().unwrap_or_default();
        let value = attribute.value.as_deref().unwrap_or_default();
        match key {
            REQUESTS_PER_SECOND => number(key, value).map(ListenerAttribute::RequestsPerSecond),
            BURST => number(key, value).map(ListenerAttribute::Burst),
            ALLOWED => Ok(ListenerAttribute::AllowedSources(ranges(value))),
            DENIED => Ok(ListenerAttribute::DeniedSources(ranges(value))),
            PROXY_PROTOCOL => {
                one_of(key, value, ["false", "true"]).map(ListenerAttribute::ProxyProtocol)
            }
            other => Err(Rejection::validation(format!(
                "listener attribute key '{other}' is not supported"
            ))),
        }
    });
    each.collect()
}

/// Takes a list apart; the core looks at each.
fn ranges(value: &str) -> Vec<String> {
    let each = value.split(',').map(str::trim);
    each.filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(key: &str, value: &str) -> elb::ListenerAttribute {
        elb::ListenerAttribute {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        }
    }

    #[test]
    fn what_is_described_can_be_given_again() {
        let attributes = ListenerAttributes {
            requests_per_second: 5,
            burst: 10,
            allowed_sources: vec!["10.0.0.0/8".to_owned(), "2001:db8::/32".to_owned()],
            denied_sources: Vec::new(),
            proxy_protocol: true,
        };
        let read = from_proto(&to_proto(&attributes)).unwrap();
        assert_eq!(
            read,
            [
                ListenerAttribute::RequestsPerSecond(5),
                ListenerAttribute::Burst(10),
                ListenerAttribute::AllowedSources(attributes.allowed_sources),
                ListenerAttribute::DeniedSources(Vec::new()),
                ListenerAttribute::ProxyProtocol(true),
            ]
        );
    }

    #[test]
    fn a_key_or_a_value_that_is_not_known_is_named() {
        for (key, value, names) in [
            ("routing.http2.enabled", "true", "routing.http2"),
            (BURST, "many", "many"),
        ] {
            let message = from_proto(&[attribute(key, value)]).unwrap_err().message;
            assert!(message.contains(names), "{message}");
        }
    }
}
