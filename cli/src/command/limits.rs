//! What a listener lets through, as it is written on the command line.

use std::net::IpAddr;

use clap::builder::NonEmptyStringValueParser;
use roadstead_client::proto::elb::ListenerAttribute;

/// What is not given stays as it is.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Requests a second that each client address may make; 0 is any number.
    #[arg(long, value_name = "COUNT")]
    rate_limit: Option<u32>,
    /// Requests that a client may make at once; 0 is those of a second.
    #[arg(long, value_name = "COUNT")]
    burst: Option<u32>,
    /// Addresses, or ranges such as 192.0.2.0/24, with commas, that alone may connect; `any` lifts it.
    #[arg(long, value_name = "RANGES", value_parser = NonEmptyStringValueParser::new())]
    allow: Option<String>,
    /// Addresses, or ranges such as 192.0.2.0/24, with commas, that may not connect; `none` lifts it.
    #[arg(long, value_name = "RANGES", value_parser = NonEmptyStringValueParser::new())]
    deny: Option<String>,
    /// Whether each connection begins with a header of the PROXY protocol, which says whose it is; allow only your proxies then.
    #[arg(long, value_name = "BOOL")]
    proxy_protocol: Option<bool>,
}

impl Args {
    /// Returns the attributes that were given.
    pub(super) fn attributes(&self) -> Vec<ListenerAttribute> {
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let ranges = |given: &Option<String>, nothing: &str| match given.as_deref()? {
            text if text == nothing => Some(String::new()),
            text => Some(text.split(',').map(range).collect::<Vec<_>>().join(",")),
        };
        let each = [
            (
                "roadstead.rate_limit.requests_per_second",
                number(self.rate_limit),
            ),
            ("roadstead.rate_limit.burst", number(self.burst)),
            ("roadstead.source_ips.allowed", ranges(&self.allow, "any")),
            ("roadstead.source_ips.denied", ranges(&self.deny, "none")),
            (
                "roadstead.proxy_protocol.enabled",
                self.proxy_protocol.map(|on| on.to_string()),
            ),
        ];
        let given = each.into_iter().filter(|(_, value)| value.is_some());
        given
            .map(|(key, value)| ListenerAttribute {
                key: Some(key.to_owned()),
                value,
            })
            .collect()
    }
}

/// Returns the range that an address alone is. What is none is left to the API, which takes ranges only, and says what is wrong.
fn range(text: &str) -> String {
    match text.trim().parse() {
        Ok(IpAddr::V4(address)) => format!("{address}/32"),
        Ok(IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_sent_and_a_word_lifts_a_list() {
        assert_eq!(Args::default().attributes(), []);
        let args = Args {
            rate_limit: Some(0),
            allow: Some("any".into()),
            deny: Some("10.0.0.0/8,192.0.2.0/24".into()),
            ..Args::default()
        };
        let values = args.attributes().into_iter().filter_map(|one| one.value);
        assert!(values.eq(["0", "", "10.0.0.0/8,192.0.2.0/24"]));
    }

    #[test]
    fn an_address_is_a_range_of_one() {
        let args = Args {
            allow: Some("192.0.2.66, 2001:db8::1,10.0.0.0/8".into()),
            deny: Some("somebody".into()),
            ..Args::default()
        };
        let values = args.attributes().into_iter().filter_map(|one| one.value);
        assert!(values.eq(["192.0.2.66/32,2001:db8::1/128,10.0.0.0/8", "somebody"]));
    }
}
