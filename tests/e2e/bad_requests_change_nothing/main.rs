//! A bad request to any operation is refused with ECS's or ELB's exception and a message that names what is wrong,
//! and every description and list says afterwards what it said before.

mod acm;
mod ecs;
mod elb;
mod fixture;
mod operations;
mod task_definition;

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};
use roadstead_tests::proto::console::{TaskLogsRequest, WatchServiceRequest};
use roadstead_tests::{Client, Cluster, eventually};
use serde_json::Value;
use tonic::{Code, Status};

use crate::fixture::{DEADLINE, Fixture};
use crate::operations::{OPERATIONS, call};

/// The metadata that carries the name of the exception.
const EXCEPTION: &str = "roadstead-error";

/// A request that must be refused.
#[derive(Debug)]
struct Case {
    operation: &'static str,
    request: Value,
    /// The exception's name; several, separated by `|`, where AWS itself is not consistent.
    exception: &'static str,
    /// What the message must name; capitals do not count.
    names: &'static str,
}

fn refused(
    operation: &'static str,
    request: Value,
    exception: &'static str,
    names: &'static str,
) -> Case {
    Case {
        operation,
        request,
        exception,
        names,
    }
}

fn cases(fixture: &Fixture) -> impl Iterator<Item = Case> {
    let ecs = task_definition::cases()
        .into_iter()
        .chain(ecs::cases(fixture));
    ecs.chain(elb::cases(fixture)).chain(acm::cases(fixture))
}

/// Sets members of a request.
fn merge(request: &mut Value, change: Value) {
    if let Value::Object(members) = change {
        for (name, value) in members {
            request[name] = value;
        }
    }
}

#[tokio::test]
async fn bad_requests_are_refused_by_name_and_change_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::control_plane_alone().await?;
    let client = &cluster.client;
    let fixture = Fixture::create(client).await?;
    let before = Box::pin(fixture::settled(client)).await?;
    let mut wrong = Vec::new();
    for case in cases(&fixture) {
        if let Err(error) = check(client, &case, &before).await {
            wrong.push(format!("{} {}: {error:#}", case.operation, case.request));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    cluster.finish().await
}

#[tokio::test]
async fn bad_requests_of_the_console_are_refused_by_name() -> anyhow::Result<()> {
    let cluster = Cluster::control_plane_alone().await?;
    let mut console = cluster.client.console().await?;
    let request = WatchServiceRequest {
        service: Some("nothing".to_owned()),
        ..WatchServiceRequest::default()
    };
    // A server that has just come to lead says so, and clients ask again.
    let status = eventually(DEADLINE, "the leader", async || {
        let status = match console.clone().watch_service(request.clone()).await {
            Ok(views) => views.into_inner().message().await.err(),
            Err(status) => Some(status),
        };
        let is_early = |status: &Status| status.code() == Code::Unavailable;
        Ok((!status.as_ref().is_some_and(is_early)).then_some(status))
    })
    .await?;
    is_named(status.as_ref(), "ServiceNotFoundException", "service")?;
    let request = TaskLogsRequest {
        task: Some("0123456789abcdef0123456789abcdef".to_owned()),
        ..TaskLogsRequest::default()
    };
    let status = match console.task_logs(request).await {
        Ok(lines) => lines.into_inner().message().await.err(),
        Err(status) => Some(status),
    };
    is_named(status.as_ref(), "InvalidParameterException", "task")?;
    cluster.finish().await
}

#[test]
fn every_operation_that_can_be_refused_has_a_case() {
    let fixture = Fixture::default();
    let tried: BTreeSet<&str> = cases(&fixture).map(|case| case.operation).collect();
    let known: BTreeSet<&str> = OPERATIONS.iter().copied().collect();
    assert_eq!(tried, known);
}

async fn check(client: &Client, case: &Case, before: &Value) -> anyhow::Result<()> {
    match Box::pin(call(client, case.operation, case.request.clone())).await? {
        Ok(answer) => bail!("accepted: {answer}"),
        Err(status) => is_named(Some(&status), case.exception, case.names)?,
    }
    let after = Box::pin(fixture::everything(client)).await?;
    ensure!(
        after == *before,
        "it changed something: {}",
        first_change(before, &after)
    );
    Ok(())
}

/// Shows where two states part: the whole of them is long.
fn first_change(before: &Value, after: &Value) -> String {
    let (before, after) = (before.to_string(), after.to_string());
    let same = before
        .bytes()
        .zip(after.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let around = |text: &str| {
        text.chars()
            .skip(same.saturating_sub(60))
            .take(200)
            .collect::<String>()
    };
    format!("{} became {}", around(&before), around(&after))
}

fn is_named(status: Option<&Status>, exception: &str, names: &str) -> anyhow::Result<()> {
    let status = status.context("accepted")?;
    let found = status
        .metadata()
        .get(EXCEPTION)
        .and_then(|value| value.to_str().ok());
    let found = found.with_context(|| format!("no exception is named: {status}"))?;
    ensure!(
        exception.split('|').any(|expected| expected == found),
        "{found} instead of {exception}: {}",
        status.message()
    );
    let message = status.message().to_lowercase();
    ensure!(
        message.contains(&names.to_lowercase()),
        "the message does not name {names}: {}",
        status.message()
    );
    Ok(())
}
