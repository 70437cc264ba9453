//! `ctl task-definition`

use clap::Subcommand;
use roadstead_client::proto::ecs::{
    DeregisterTaskDefinitionRequest, DescribeTaskDefinitionRequest,
    ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse,
    ListTaskDefinitionsRequest, ListTaskDefinitionsResponse, RegisterTaskDefinitionRequest,
    RegisterTaskDefinitionResponse, TaskDefinition,
};

use crate::connection::{Connection, every_page};
use crate::error::Error;
use crate::{input, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register a new revision.
    Register {
        /// JSON in the shape of the AWS CLI's --cli-input-json; `-` reads standard input.
        #[arg(long)]
        file: String,
    },
    /// List the revisions of every family, or of one.
    List {
        /// Only this family.
        #[arg(long)]
        family: Option<String>,
        /// ACTIVE or INACTIVE.
        #[arg(long)]
        status: Option<String>,
    },
    /// List the families.
    Families {
        /// Only families whose names begin so.
        #[arg(long)]
        prefix: Option<String>,
        /// ACTIVE, INACTIVE or ALL.
        #[arg(long)]
        status: Option<String>,
    },
    /// Describe a revision; a family alone stands for its newest active one.
    Describe {
        /// Family with or without a revision (then its newest active one), or ARN.
        #[arg(value_name = "FAMILY[:REVISION]")]
        task_definition: String,
    },
    /// Make a revision INACTIVE: what runs goes on running, nothing new is started from it.
    Deregister {
        /// Family with a revision, or ARN.
        #[arg(value_name = "FAMILY:REVISION")]
        task_definition: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Register { file } => {
            let response = register(connection, input::read(&file)?).await?;
            connection.show(&response, |response| {
                view(response.task_definition.as_ref())
            })
        }
        Command::List { family, status } => {
            let task_definition_arns = list(connection, family, status).await?;
            let all = ListTaskDefinitionsResponse {
                task_definition_arns,
                next_token: None,
            };
            connection.show(&all, |all| {
                output::task_definition::revisions(&all.task_definition_arns)
            })
        }
        Command::Families { prefix, status } => families(connection, prefix, status).await,
        Command::Describe { task_definition } => {
            let request = DescribeTaskDefinitionRequest {
                task_definition: Some(task_definition),
            };
            let response = connection
                .ecs(async |mut ecs| ecs.describe_task_definition(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                view(response.task_definition.as_ref())
            })
        }
        Command::Deregister { task_definition } => {
            let request = DeregisterTaskDefinitionRequest {
                task_definition: Some(task_definition),
            };
            let response = connection
                .ecs(async |mut ecs| ecs.deregister_task_definition(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                view(response.task_definition.as_ref())
            })
        }
    }
}

/// Registers a revision.
pub(super) async fn register(
    connection: &Connection,
    request: RegisterTaskDefinitionRequest,
) -> Result<RegisterTaskDefinitionResponse, Error> {
    connection
        .ecs(async |mut ecs| ecs.register_task_definition(request.clone()).await)
        .await
}

/// Returns one revision; a family alone stands for its newest active one.
pub(super) async fn describe(
    connection: &Connection,
    task_definition: &str,
) -> Result<TaskDefinition, Error> {
    let request = DescribeTaskDefinitionRequest {
        task_definition: Some(task_definition.to_owned()),
    };
    let response = connection
        .ecs(async |mut ecs| ecs.describe_task_definition(request.clone()).await)
        .await?;
    response.task_definition.ok_or_else(|| {
        Error::Unfit(format!(
            "the answer does not describe task definition {task_definition}"
        ))
    })
}

/// Returns the ARNs of all revisions that the filters let through.
async fn list(
    connection: &Connection,
    family: Option<String>,
    status: Option<String>,
) -> Result<Vec<String>, Error> {
    every_page(async |next_token| {
        let request = ListTaskDefinitionsRequest {
            family_prefix: family.clone(),
            status: status.clone(),
            next_token,
            ..ListTaskDefinitionsRequest::default()
        };
        let page = connection
            .ecs(async |mut ecs| ecs.list_task_definitions(request.clone()).await)
            .await?;
        Ok((page.task_definition_arns, page.next_token))
    })
    .await
}

async fn families(
    connection: &Connection,
    prefix: Option<String>,
    status: Option<String>,
) -> Result<(), Error> {
    let families = every_page(async |next_token| {
        let request = ListTaskDefinitionFamiliesRequest {
            family_prefix: prefix.clone(),
            status: status.clone(),
            next_token,
            max_results: None,
        };
        let page = connection
            .ecs(async |mut ecs| ecs.list_task_definition_families(request.clone()).await)
            .await?;
        Ok((page.families, page.next_token))
    })
    .await?;
    let all = ListTaskDefinitionFamiliesResponse {
        families,
        next_token: None,
    };
    connection.show(&all, |all| output::task_definition::families(&all.families))
}

fn view(definition: Option<&TaskDefinition>) -> String {
    definition
        .map(output::task_definition::task_definition)
        .unwrap_or_default()
}
