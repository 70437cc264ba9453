//! The messages are the JSON shapes of the AWS CLI: one of each kind, to the letter.
//!
//! Shapes: ECS model 2014-11-13 and ELBv2 model 2015-12-01. Absent values are absent keys, the lists
//! that ECS always sends are there when empty, timestamps are seconds with a fraction, and `cpu` and
//! `memory` are strings in a task and numbers in a container definition.

mod acm;
mod ecs;
mod elb;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Asserts that `message` is written as `expected`, and read back from it unchanged.
fn is_written_as<T>(message: &T, expected: &Value)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    assert_eq!(
        &serde_json::to_value(message).expect("a message is JSON"),
        expected
    );
    assert_eq!(
        &serde_json::from_value::<T>(expected.clone()).expect("the JSON is a message"),
        message
    );
}
