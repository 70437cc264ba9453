//! `ctl rule`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    CreateRuleRequest, DeleteRuleRequest, DescribeRulesRequest, RuleCondition,
};

use super::{listener, name};
use crate::connection::Connection;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a rule of a listener.
    Create {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        #[arg(long)]
        listener: String,
        /// Rules are tried from the lowest to the highest: 1 to 50000.
        #[arg(long)]
        priority: i32,
        /// Host that the request must name; `*` and `?` are wildcards; several are alternatives.
        #[arg(long = "host", value_name = "PATTERN")]
        hosts: Vec<String>,
        /// Path that the request must have; `*` and `?` are wildcards; several are alternatives.
        #[arg(long = "path", value_name = "PATTERN")]
        paths: Vec<String>,
        /// Where matching requests go; several share them by weight.
        #[arg(
            long = "target-group",
            required = true,
            value_name = "TARGET_GROUP[=WEIGHT]"
        )]
        target_groups: Vec<String>,
    },
    /// List the rules of a listener.
    #[command(visible_alias = "describe")]
    List {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
    },
    /// Delete a rule.
    Delete {
        #[arg(value_name = "RULE_ARN")]
        rule: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create {
            listener,
            priority,
            hosts,
            paths,
            target_groups,
        } => {
            let request = CreateRuleRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
                priority: Some(priority),
                conditions: conditions(hosts, paths),
                actions: vec![listener::forward(connection, &target_groups).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.create_rule(request.clone()).await)
                .await?;
            connection.show(&response, |response| output::elb::rules(&response.rules))
        }
        Command::List { listener } => {
            let listener_arn = name::listener(connection, &listener).await?;
            let request = DescribeRulesRequest {
                listener_arn: Some(listener_arn),
            };
            let response = connection
                .elb(async |mut elb| elb.describe_rules(request.clone()).await)
                .await?;
            connection.show(&response, |response| output::elb::rules(&response.rules))
        }
        Command::Delete { rule } => {
            let request = DeleteRuleRequest {
                rule_arn: Some(rule.clone()),
            };
            let response = connection
                .elb(async |mut elb| elb.delete_rule(request.clone()).await)
                .await?;
            connection.show(&response, |_| format!("rule {rule} is deleted"))
        }
    }
}

fn conditions(hosts: Vec<String>, paths: Vec<String>) -> Vec<RuleCondition> {
    [("host-header", hosts), ("path-pattern", paths)]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(field, values)| RuleCondition {
            field: Some(field.to_owned()),
            values,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conditions_that_were_given_are_sent() {
        let conditions = conditions(Vec::new(), vec!["/api/*".into()]);
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].field.as_deref(), Some("path-pattern"));
        assert_eq!(conditions[0].values, ["/api/*"]);
    }
}
