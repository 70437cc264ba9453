//! What a rule asks of a request, as it is written on the command line.

use std::collections::BTreeMap;

use roadstead_client::proto::elb::{
    HttpHeaderConditionConfig, HttpRequestMethodConditionConfig, QueryStringConditionConfig,
    QueryStringKeyValuePair, RuleCondition, SourceIpConditionConfig,
};

use crate::error::Error;

/// Every kind that is given must hold; several of a kind are alternatives. `*` and `?` are wildcards.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Host that the request must name; several are alternatives.
    #[arg(long = "host", value_name = "PATTERN")]
    hosts: Vec<String>,
    /// Path that the request must have; several are alternatives.
    #[arg(long = "path", value_name = "PATTERN")]
    paths: Vec<String>,
    /// Header that the request must have; several of one name are alternatives.
    #[arg(long = "header", value_name = "NAME=PATTERN")]
    headers: Vec<String>,
    /// Method that the request must have; several are alternatives.
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// Parameter that the query must have; several are alternatives.
    #[arg(long = "query", value_name = "[KEY=]PATTERN")]
    queries: Vec<String>,
    /// Range of addresses that the connection must come from; several are alternatives.
    #[arg(long = "source-ip", value_name = "CIDR")]
    sources: Vec<String>,
}

impl Args {
    /// Builds the conditions that were given.
    pub(super) fn build(self) -> Result<Vec<RuleCondition>, Error> {
        let mut conditions = Vec::new();
        let mut add = |field: &str, fill: &dyn Fn(&mut RuleCondition)| {
            let mut condition = RuleCondition {
                field: Some(field.to_owned()),
                ..RuleCondition::default()
            };
            fill(&mut condition);
            conditions.push(condition);
        };
        if !self.hosts.is_empty() {
            add("host-header", &|one| one.values.clone_from(&self.hosts));
        }
        if !self.paths.is_empty() {
            add("path-pattern", &|one| one.values.clone_from(&self.paths));
        }
        for (name, values) in by_name(&self.headers)? {
            add("http-header", &|one| {
                one.http_header_config = Some(HttpHeaderConditionConfig {
                    http_header_name: Some(name.to_owned()),
                    values: values.clone(),
                });
            });
        }
        if !self.methods.is_empty() {
            add("http-request-method", &|one| {
                let values = self.methods.clone();
                one.http_request_method_config = Some(HttpRequestMethodConditionConfig { values });
            });
        }
        if !self.queries.is_empty() {
            add("query-string", &|one| {
                let values = self.queries.iter().map(|text| parameter(text)).collect();
                one.query_string_config = Some(QueryStringConditionConfig { values });
            });
        }
        if !self.sources.is_empty() {
            add("source-ip", &|one| {
                let values = self.sources.clone();
                one.source_ip_config = Some(SourceIpConditionConfig { values });
            });
        }
        Ok(conditions)
    }
}

fn by_name(headers: &[String]) -> Result<BTreeMap<&str, Vec<String>>, Error> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for text in headers {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::Unfit(format!(
                "header `{text}` is not of the form NAME=PATTERN"
            )));
        };
        found.entry(name).or_default().push(value.to_owned());
    }
    Ok(found)
}

fn parameter(text: &str) -> QueryStringKeyValuePair {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (Some(key.to_owned()), value),
        None => (None, text),
    };
    QueryStringKeyValuePair {
        key,
        value: Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn only_conditions_that_were_given_are_sent() {
        let paths = texts(&["/api/*"]);
        let conditions = Args {
            paths,
            ..Args::default()
        };
        let conditions = conditions.build().unwrap();
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].field.as_deref(), Some("path-pattern"));
        assert_eq!(conditions[0].values, ["/api/*"]);
    }

    #[test]
    fn headers_of_one_name_are_alternatives_and_names_are_conditions() {
        let headers = texts(&["x-version=1*", "x-beta=yes", "x-version=2*"]);
        let conditions = Args {
            headers,
            ..Args::default()
        };
        let conditions = conditions.build().unwrap();
        let configs = conditions
            .into_iter()
            .filter_map(|one| one.http_header_config);
        let configs: Vec<_> = configs
            .map(|one| (one.http_header_name, one.values))
            .collect();
        let expected = [
            ("x-beta", texts(&["yes"])),
            ("x-version", texts(&["1*", "2*"])),
        ];
        assert_eq!(
            configs,
            expected.map(|(name, values)| (Some(name.to_owned()), values))
        );
        let headers = texts(&["x-version"]);
        assert!(
            Args {
                headers,
                ..Args::default()
            }
            .build()
            .is_err()
        );
    }

    #[test]
    fn a_parameter_may_do_without_a_key() {
        assert_eq!(parameter("beta").key, None);
        let keyed = parameter("version=v1=x");
        assert_eq!(keyed.key.as_deref(), Some("version"));
        assert_eq!(keyed.value.as_deref(), Some("v1=x"));
    }
}
