//! `ctl rule`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    CreateRuleRequest, DeleteRuleRequest, ModifyRuleRequest, RulePriorityPair,
    SetRulePrioritiesRequest,
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
    /// Change the conditions of a rule, or what happens to its requests.
    ///
    /// Conditions are replaced as a whole: give all that the rule is to have.
    Modify {
        /// ARN of the rule, or LOAD_BALANCER:PORT:PRIORITY.
        rule: String,
        #[command(flatten)]
        conditions: condition::Args,
        #[command(flatten)]
        action: action::Args,
    },
    /// Give rules other priorities, all at once: two may change places.
    SetPriorities {
        /// Rules, by ARN or as LOAD_BALANCER:PORT:PRIORITY, with their new priorities.
        #[arg(required = true, value_name = "RULE=PRIORITY")]
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
        /// ARN of the rule, or LOAD_BALANCER:PORT:PRIORITY.
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
                rule_arn: Some(name::rule(connection, &rule).await?),
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
            let mut request = SetRulePrioritiesRequest::default();
            for text in &priorities {
                let (rule, priority) = pair(text)?;
                request.rule_priorities.push(RulePriorityPair {
                    rule_arn: Some(name::rule(connection, rule).await?),
                    priority: Some(priority),
                });
            }
            let response = connection
                .elb(async |mut elb| elb.set_rule_priorities(request.clone()).await)
                .await?;
            connection.show(&response, |response| output::elb::rules(&response.rules))
        }
        Command::List { listener } => {
            let listener_arn = name::listener(connection, &listener).await?;
            let response = name::rules(connection, listener_arn).await?;
            connection.show(&response, |response| output::elb::rules(&response.rules))
        }
        Command::Delete { rule } => {
            let request = DeleteRuleRequest {
                rule_arn: Some(name::rule(connection, &rule).await?),
            };
            let response = connection
                .elb(async |mut elb| elb.delete_rule(request.clone()).await)
                .await?;
            connection.show(&response, |_| format!("rule {rule} is deleted"))
        }
    }
}

/// Returns a rule and its new priority.
fn pair(text: &str) -> Result<(&str, i32), Error> {
    let parts = text.rsplit_once('=');
    let parts = parts.and_then(|(rule, priority)| Some((rule, priority.parse().ok()?)));
    parts.ok_or_else(|| Error::Unfit(format!("`{text}` is not of the form RULE=PRIORITY")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_stands_after_the_last_equals_sign() {
        assert_eq!(pair("arn:aws:x/y=20").unwrap(), ("arn:aws:x/y", 20));
        assert_eq!(pair("shop:443:10=20").unwrap(), ("shop:443:10", 20));
        for unfit in ["arn:aws:x/y", "shop:443:10", "arn=high"] {
            assert!(pair(unfit).is_err(), "{unfit}");
        }
    }
}
