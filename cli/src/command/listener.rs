//! `ctl listener`, and how a forward action is written on the command line.

use clap::Subcommand;
use roadstead_client::proto::elb::{
    Action, CreateListenerRequest, DeleteListenerRequest, DescribeListenersResponse,
    ForwardActionConfig, TargetGroupTuple,
};

use super::{load_balancer, name};
use crate::connection::Connection;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a listener on a port of every load balancer process.
    Create {
        /// Name or ARN of the load balancer.
        #[arg(long)]
        load_balancer: String,
        #[arg(long)]
        port: i32,
        /// Where requests go that no rule takes; several share them by weight.
        #[arg(
            long = "target-group",
            required = true,
            value_name = "TARGET_GROUP[=WEIGHT]"
        )]
        target_groups: Vec<String>,
    },
    /// List the listeners of every load balancer, or of one.
    #[command(visible_alias = "describe")]
    List {
        #[arg(value_name = "LOAD_BALANCER")]
        load_balancer: Option<String>,
    },
    /// Delete a listener with its rules.
    Delete {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create {
            load_balancer,
            port,
            target_groups,
        } => {
            let load_balancer_arn = name::load_balancer(connection, &load_balancer).await?;
            let request = CreateListenerRequest {
                load_balancer_arn: Some(load_balancer_arn),
                protocol: Some("HTTP".to_owned()),
                port: Some(port),
                default_actions: vec![forward(connection, &target_groups).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.create_listener(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::listeners(&response.listeners)
            })
        }
        Command::List { load_balancer } => {
            let named = load_balancer.into_iter().collect();
            let owners = load_balancer::list(connection, named).await?.load_balancers;
            let mut all = DescribeListenersResponse::default();
            for arn in owners
                .into_iter()
                .filter_map(|owner| owner.load_balancer_arn)
            {
                all.listeners
                    .extend(name::listeners(connection, arn).await?.listeners);
            }
            connection.show(&all, |all| output::elb::listeners(&all.listeners))
        }
        Command::Delete { listener } => {
            let listener_arn = name::listener(connection, &listener).await?;
            let request = DeleteListenerRequest {
                listener_arn: Some(listener_arn),
            };
            let response = connection
                .elb(async |mut elb| elb.delete_listener(request.clone()).await)
                .await?;
            connection.show(&response, |_| format!("listener {listener} is deleted"))
        }
    }
}

/// Builds the forward action to target groups written as `NAME[=WEIGHT]`.
pub(super) async fn forward(connection: &Connection, texts: &[String]) -> Result<Action, Error> {
    let mut tuples = Vec::with_capacity(texts.len());
    for text in texts {
        let (group, weight) = weighted(text)?;
        let arn = name::target_group(connection, group).await?;
        tuples.push(TargetGroupTuple {
            target_group_arn: Some(arn),
            weight,
        });
    }
    Ok(action(tuples))
}

/// One target group without a weight takes the short form, as the AWS CLI does it.
fn action(mut tuples: Vec<TargetGroupTuple>) -> Action {
    let r#type = Some("forward".to_owned());
    if let [only] = tuples.as_mut_slice()
        && only.weight.is_none()
    {
        return Action {
            r#type,
            target_group_arn: only.target_group_arn.take(),
            forward_config: None,
        };
    }
    let forward_config = Some(ForwardActionConfig {
        target_groups: tuples,
    });
    Action {
        r#type,
        target_group_arn: None,
        forward_config,
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
        let action = action(vec![tuple("arn:a", None)]);
        assert_eq!(action.target_group_arn.as_deref(), Some("arn:a"));
        assert_eq!(action.forward_config, None);
    }

    #[test]
    fn weights_take_the_long_form() {
        let action = action(vec![tuple("arn:a", Some(9)), tuple("arn:b", Some(1))]);
        assert_eq!(action.target_group_arn, None);
        assert_eq!(action.forward_config.unwrap().target_groups.len(), 2);
    }

    #[test]
    fn a_weight_stands_after_the_last_equals_sign() {
        assert_eq!(weighted("web").unwrap(), ("web", None));
        assert_eq!(weighted("web=10").unwrap(), ("web", Some(10)));
        assert!(weighted("web=ten").is_err());
    }
}
