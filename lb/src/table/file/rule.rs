//! A rule as a person writes it: conditions, and one of `forward`, `redirect` and `fixed_response`.

use std::collections::BTreeMap;

use roadstead_proto::lb;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default)]
    host: Vec<String>,
    #[serde(default)]
    path: Vec<String>,
    #[serde(default)]
    header: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    method: Vec<String>,
    /// `KEY=VALUE`, or `VALUE` of any key.
    #[serde(default)]
    query: Vec<String>,
    #[serde(default)]
    source_ip: Vec<String>,
    forward: Option<Forward>,
    redirect: Option<Redirect>,
    fixed_response: Option<FixedResponse>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "forward must be the name of a target group, or a table of names and weights"
)]
enum Forward {
    One(String),
    Weighted(BTreeMap<String, u32>),
}

/// What is left out stays as it is in the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Redirect {
    protocol: String,
    host: String,
    port: String,
    path: String,
    query: String,
    status: u32,
}

impl Default for Redirect {
    fn default() -> Self {
        Self {
            protocol: "#{protocol}".to_owned(),
            host: "#{host}".to_owned(),
            port: "#{port}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            status: 302,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FixedResponse {
    status: u32,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    body: String,
}

impl Rule {
    /// Returns whether it has no condition, and takes every request.
    pub(super) fn is_default(&self) -> bool {
        self.host.is_empty()
            && self.path.is_empty()
            && self.header.is_empty()
            && self.method.is_empty()
            && self.query.is_empty()
            && self.source_ip.is_empty()
    }

    /// Returns whether it says exactly one thing to do.
    pub(super) fn has_one_action(&self) -> bool {
        let given = [
            self.forward.is_some(),
            self.redirect.is_some(),
            self.fixed_response.is_some(),
        ];
        given.into_iter().filter(|given| *given).count() == 1
    }

    pub(super) fn into_proto(self, priority: u32) -> lb::Rule {
        let choices = match self.forward {
            None => BTreeMap::new(),
            Some(Forward::One(name)) => BTreeMap::from([(name, 1)]),
            Some(Forward::Weighted(choices)) => choices,
        };
        let choices = choices.into_iter();
        let forward = choices.map(|(target_group_arn, weight)| lb::WeightedTargetGroup {
            target_group_arn,
            weight,
        });
        let headers = self.header.into_iter();
        let headers = headers.map(|(name, patterns)| lb::HttpHeader { name, patterns });
        let parameters: Vec<_> = self.query.iter().map(|text| parameter(text)).collect();
        lb::Rule {
            priority,
            host_patterns: self.host,
            path_patterns: self.path,
            http_headers: headers.collect(),
            http_request_methods: self.method,
            query_strings: if parameters.is_empty() {
                Vec::new()
            } else {
                vec![lb::QueryString { parameters }]
            },
            source_ips: self.source_ip,
            forward: forward.collect(),
            redirect: self.redirect.map(|one| lb::Redirect {
                protocol: one.protocol,
                host: one.host,
                port: one.port,
                path: one.path,
                query: one.query,
                status_code: one.status,
            }),
            fixed_response: self.fixed_response.map(|one| lb::FixedResponse {
                status_code: one.status,
                content_type: one.content_type,
                body: one.body,
            }),
            ..lb::Rule::default()
        }
    }
}

fn parameter(text: &str) -> lb::QueryParameter {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (Some(key.to_owned()), value),
        None => (None, text),
    };
    lb::QueryParameter {
        key,
        value: value.to_owned(),
    }
}
