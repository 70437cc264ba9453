//! `ctl rule`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    CreateRuleRequest, DeleteRuleRequest, DescribeRulesRequest, ModifyRuleRequest,
    RulePriorityPair, SetRulePrioritiesRequest,
};

use super::{action, condition, name};
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
        #[command(flatten)]
        conditions: condition::Args,
        #[command(flatten)]
        action: action::Args,
    },
    /// Change all conditions of a rule, or what happens to its requests.
    Modify {
        /// ARN of the rule, as `ctl rule list` shows it.
        #[arg(value_name = "RULE_ARN")]
        rule: String,
        #[command(flatten)]
        conditions: condition::Args,
        #[command(flatten)]
        action: action::Args,
    },
    /// Give rules other priorities, all at once: two may change places.
    SetPriorities {
        /// Rules, by their ARNs, with their new priorities.
        #[arg(required = true, value_name = "RULE_ARN=PRIORITY")]
        priorities: Vec<String>,
    },
    /// List the rules of a listener.
    #[command(visible_alias = "describe")]
    List {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
    },
    /// Delete a rule.
    Delete {
        /// ARN of the rule, as `ctl rule list` shows it.
        #[arg(value_name = "RULE_ARN")]
        rule: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create {
            listener,
            priority,
            conditions,
            action,
        } => {
            let request = CreateRuleRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
                priority: Some(priority),
                conditions: conditions.build()?,
                actions: vec![action.build_one(connection).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.create_rule(request.clone()).await)
                .await?;
            connection.show(&response, |response| output::elb::rules(&response.rules))
        }
        Command::Modify {
            rule,
            conditions,
            action,
        } => {
            let request = ModifyRuleRequest {
                rule_arn: Some(rule),
                conditions: conditions.build()?,
                actions: action.build(connection).await?.into_iter().collect(),
            };
            if request.conditions.is_empty() && request.actions.is_empty() {
                return Err(Error::Unfit(
                    "give what is to change: a condition or an action".to_owned(),
                ));
            }
            let response = connection
                .elb(async |mut elb| elb.modify_rule(request.clone()).await)
                .await?;
            connection.show(&response, |response| output::elb::rules(&response.rules))
        }
        Command::SetPriorities { priorities } => {
            let pairs: Result<Vec<_>, _> = priorities.iter().map(|text| pair(text)).collect();
            let request = SetRulePrioritiesRequest {
                rule_priorities: pairs?,
            };
            let response = connection
                .elb(async |mut elb| elb.set_rule_priorities(request.clone()).await)
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

fn pair(text: &str) -> Result<RulePriorityPair, Error> {
    let parts = text.rsplit_once('=');
    let parts = parts.and_then(|(arn, priority)| Some((arn, priority.parse().ok()?)));
    let Some((arn, priority)) = parts else {
        return Err(Error::Unfit(format!(
            "`{text}` is not of the form RULE_ARN=PRIORITY"
        )));
    };
    Ok(RulePriorityPair {
        rule_arn: Some(arn.to_owned()),
        priority: Some(priority),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_stands_after_the_last_equals_sign() {
        let pair = pair("arn:aws:x/y=20").unwrap();
        assert_eq!(pair.rule_arn.as_deref(), Some("arn:aws:x/y"));
        assert_eq!(pair.priority, Some(20));
        for unfit in ["arn:aws:x/y", "arn=high"] {
            assert!(super::pair(unfit).is_err(), "{unfit}");
        }
    }
}
