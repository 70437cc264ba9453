//! What a listener or a rule does with a request, as it is written on the command line.

use roadstead_client::proto::elb::{
    Action, FixedResponseActionConfig, ForwardActionConfig, RedirectActionConfig,
    TargetGroupStickinessConfig, TargetGroupTuple,
};

use super::name;
use crate::config;
use crate::connection::Connection;
use crate::error::Error;

/// One of: forward, redirect, fixed response.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Where requests go; several share them by weight.
    #[arg(
        long = "target-group",
        value_name = "TARGET_GROUP[=WEIGHT]",
        group = "action"
    )]
    target_groups: Vec<String>,
    /// For how long a client stays with the target group that it got first.
    #[arg(long, value_name = "DURATION", requires = "target_groups")]
    stickiness: Option<String>,
    /// Where clients are sent instead; `#{host}`, `#{path}`, `#{query}`, `#{port}` and `#{protocol}` are those of the request.
    #[arg(long, value_name = "URL", group = "action")]
    redirect: Option<String>,
    /// The redirect is 301, which clients remember, and not 302.
    #[arg(long, requires = "redirect")]
    permanent: bool,
    /// Answers with this status code at once.
    #[arg(long, value_name = "CODE", group = "action")]
    fixed_response: Option<String>,
    /// The body of the fixed response.
    #[arg(long, value_name = "TEXT", requires = "fixed_response")]
    body: Option<String>,
    /// The type of that body.
    #[arg(long, value_name = "TYPE", requires = "fixed_response")]
    content_type: Option<String>,
}

impl Args {
    /// Builds the action; none when nothing was given.
    pub(super) async fn build(self, connection: &Connection) -> Result<Option<Action>, Error> {
        if let Some(url) = &self.redirect {
            let status = if self.permanent {
                "HTTP_301"
            } else {
                "HTTP_302"
            };
            return Ok(Some(Action {
                r#type: Some("redirect".to_owned()),
                redirect_config: Some(redirect(url, status)?),
                ..Action::default()
            }));
        }
        if self.fixed_response.is_some() {
            return Ok(Some(Action {
                r#type: Some("fixed-response".to_owned()),
                fixed_response_config: Some(FixedResponseActionConfig {
                    message_body: self.body,
                    status_code: self.fixed_response,
                    content_type: self.content_type,
                }),
                ..Action::default()
            }));
        }
        if self.target_groups.is_empty() {
            return Ok(None);
        }
        let stickiness = self.stickiness.as_deref().map(seconds).transpose()?;
        let mut tuples = Vec::with_capacity(self.target_groups.len());
        for text in &self.target_groups {
            let (group, weight) = weighted(text)?;
            let arn = name::target_group(connection, group).await?;
            tuples.push(TargetGroupTuple {
                target_group_arn: Some(arn),
                weight,
            });
        }
        Ok(Some(forward(tuples, stickiness)))
    }

    /// Builds the action; something must be given.
    pub(super) async fn build_one(self, connection: &Connection) -> Result<Action, Error> {
        self.build(connection).await?.ok_or_else(|| {
            Error::Unfit("give one of --target-group, --redirect and --fixed-response".to_owned())
        })
    }
}

fn seconds(text: &str) -> Result<i32, Error> {
    let duration = config::duration("stickiness", text)?;
    i32::try_from(duration.as_secs())
        .map_err(|_| Error::Unfit(format!("stickiness `{text}` is longer than a week")))
}

/// One target group without a weight takes the short form, as the AWS CLI does it.
fn forward(mut tuples: Vec<TargetGroupTuple>, stickiness: Option<i32>) -> Action {
    let r#type = Some("forward".to_owned());
    if let ([only], None) = (tuples.as_mut_slice(), stickiness)
        && only.weight.is_none()
    {
        return Action {
            r#type,
            target_group_arn: only.target_group_arn.take(),
            ..Action::default()
        };
    }
    let stickiness = stickiness.map(|seconds| TargetGroupStickinessConfig {
        enabled: Some(true),
        duration_seconds: Some(seconds),
    });
    let forward_config = Some(ForwardActionConfig {
        target_groups: tuples,
        target_group_stickiness_config: stickiness,
    });
    Action {
        r#type,
        forward_config,
        ..Action::default()
    }
}

fn weighted(text: &str) -> Result<(&str, Option<i32>), Error> {
    match text.rsplit_once('=') {
        None => Ok((text, None)),
        Some((group, weight)) => match weight.parse() {
            Ok(weight) => Ok((group, Some(weight))),
            Err(_) => Err(Error::Unfit(format!(
                "the weight in `{text}` is not a number"
            ))),
        },
    }
}

/// Takes a URL apart. What it lacks stays as it is in the request, but a protocol brings its port.
fn redirect(url: &str, status: &str) -> Result<RedirectActionConfig, Error> {
    let unfit = || {
        Error::Unfit(format!(
            "redirect `{url}` is not of the form https://HOST[:PORT][/PATH][?QUERY]"
        ))
    };
    let (protocol, rest) = url.split_once("://").ok_or_else(unfit)?;
    let (protocol, usual_port) = match protocol {
        "https" => ("HTTPS", "443"),
        "http" => ("HTTP", "80"),
        "#{protocol}" => ("#{protocol}", "#{port}"),
        _ => return Err(unfit()),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => (&rest[..slash], Some(rest[slash..].to_owned())),
        None => (rest, None),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (authority, usual_port),
    };
    if host.is_empty() {
        return Err(unfit());
    }
    Ok(RedirectActionConfig {
        protocol: Some(protocol.to_owned()),
        port: Some(port.to_owned()),
        host: Some(host.to_owned()),
        path,
        query,
        status_code: Some(status.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(arn: &str, weight: Option<i32>) -> TargetGroupTuple {
        TargetGroupTuple {
            target_group_arn: Some(arn.into()),
            weight,
        }
    }

    #[test]
    fn one_target_group_is_forwarded_to_in_the_short_form() {
        let action = forward(vec![tuple("arn:a", None)], None);
        assert_eq!(action.target_group_arn.as_deref(), Some("arn:a"));
        assert_eq!(action.forward_config, None);
    }

    #[test]
    fn weights_and_stickiness_take_the_long_form() {
        let action = forward(vec![tuple("arn:a", Some(9)), tuple("arn:b", Some(1))], None);
        assert_eq!(action.target_group_arn, None);
        assert_eq!(action.forward_config.unwrap().target_groups.len(), 2);
        let sticky = forward(vec![tuple("arn:a", None)], Some(60)).forward_config;
        let config = sticky.and_then(|config| config.target_group_stickiness_config);
        assert_eq!(config.unwrap().duration_seconds, Some(60));
    }

    #[test]
    fn a_weight_stands_after_the_last_equals_sign() {
        assert_eq!(weighted("web").unwrap(), ("web", None));
        assert_eq!(weighted("web=10").unwrap(), ("web", Some(10)));
        assert!(weighted("web=ten").is_err());
    }

    #[test]
    fn a_redirect_is_written_as_a_url() {
        let parts = |url| {
            let config = redirect(url, "HTTP_301").unwrap();
            let or_own = |part: Option<String>| part.unwrap_or_else(|| "-".into());
            [
                config.protocol,
                config.host,
                config.port,
                config.path,
                config.query,
            ]
            .map(or_own)
        };
        let own = "https://#{host}";
        assert_eq!(parts(own), ["HTTPS", "#{host}", "443", "-", "-"]);
        assert_eq!(
            parts("http://a.example:8080/v2/#{path}?x=1"),
            ["HTTP", "a.example", "8080", "/v2/#{path}", "x=1"]
        );
        assert_eq!(parts("https://[::1]/")[..3], ["HTTPS", "[::1]", "443"]);
        assert_eq!(
            parts("#{protocol}://b.example")[..3],
            ["#{protocol}", "b.example", "#{port}"]
        );
        for unfit in ["/path", "ftp://a", "https://", "https:///x"] {
            assert!(redirect(unfit, "HTTP_301").is_err(), "{unfit}");
        }
    }
}
