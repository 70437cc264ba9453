//! `ctl task`

mod logs;

use clap::Subcommand;
use roadstead_client::proto::ecs::{
    DescribeTasksRequest, DescribeTasksResponse, ListTasksRequest, ListTasksResponse,
    RunTaskRequest, StopTaskRequest,
};

use super::show_found;
use crate::connection::{Connection, every_page};
use crate::error::Error;
use crate::output::{self, Format};

/// DescribeTasks takes at most so many (ECS).
const AT_ONCE: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run tasks once, outside of any service.
    Run(Run),
    /// Stop a task.
    Stop {
        /// Id or ARN of the task.
        task: String,
        /// Kept as the task's stopped reason.
        #[arg(long)]
        reason: Option<String>,
    },
    /// List the tasks.
    List(List),
    /// Describe tasks with their containers.
    Describe {
        /// Ids or ARNs of tasks.
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// Print the log of a container.
    Logs(logs::Logs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Family with or without a revision, or ARN.
    #[arg(long, value_name = "FAMILY[:REVISION]")]
    task_definition: String,
    /// How many: 1 to 10.
    #[arg(long)]
    count: Option<i32>,
    /// Name of the group that the tasks belong to [default: family:FAMILY].
    #[arg(long)]
    group: Option<String>,
    /// Says who starts the tasks; `ctl task list --started-by` finds them by it.
    #[arg(long)]
    started_by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only tasks of this service.
    #[arg(long)]
    service: Option<String>,
    /// Only tasks of this family.
    #[arg(long)]
    family: Option<String>,
    /// Only tasks on this container instance.
    #[arg(long)]
    instance: Option<String>,
    /// Only tasks whose `startedBy` is this.
    #[arg(long)]
    started_by: Option<String>,
    /// RUNNING (the default) or STOPPED.
    #[arg(long)]
    desired_status: Option<String>,
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Run(run) => run_task(connection, run).await,
        Command::Stop { task, reason } => {
            let cluster = connection.cluster.clone();
            let request = StopTaskRequest {
                cluster,
                task: Some(task),
                reason,
            };
            let response = connection
                .ecs(async |mut ecs| ecs.stop_task(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::task::tasks(response.task.as_slice())
            })
        }
        Command::List(filters) => list(connection, filters).await,
        Command::Describe { tasks } => {
            let response = describe(connection, tasks).await?;
            let found = (response.tasks.len(), response.failures.as_slice());
            show_found(connection, &response, found, |response| {
                let views = response.tasks.iter().map(output::task::task);
                views.collect::<Vec<_>>().join("\n\n")
            })
        }
        Command::Logs(logs) => logs::run(connection, logs).await,
    }
}

async fn run_task(connection: &Connection, run: Run) -> Result<(), Error> {
    let request = RunTaskRequest {
        cluster: connection.cluster.clone(),
        task_definition: Some(run.task_definition),
        count: run.count,
        group: run.group,
        started_by: run.started_by,
        ..RunTaskRequest::default()
    };
    let response = connection
        .ecs(async |mut ecs| ecs.run_task(request.clone()).await)
        .await?;
    let found = (response.tasks.len(), response.failures.as_slice());
    show_found(connection, &response, found, |response| {
        output::task::tasks(&response.tasks)
    })
}

async fn list(connection: &Connection, filters: List) -> Result<(), Error> {
    let task_arns = every_page(async |next_token| {
        let request = ListTasksRequest {
            cluster: connection.cluster.clone(),
            container_instance: filters.instance.clone(),
            family: filters.family.clone(),
            started_by: filters.started_by.clone(),
            service_name: filters.service.clone(),
            desired_status: filters.desired_status.clone(),
            next_token,
            max_results: None,
        };
        let page = connection
            .ecs(async |mut ecs| ecs.list_tasks(request.clone()).await)
            .await?;
        Ok((page.task_arns, page.next_token))
    })
    .await?;
    if connection.format == Format::Json {
        let all = ListTasksResponse {
            task_arns,
            next_token: None,
        };
        return output::write_line(&output::json(&all)?);
    }
    let mut tasks = Vec::with_capacity(task_arns.len());
    for some in task_arns.chunks(AT_ONCE) {
        tasks.extend(describe(connection, some.to_vec()).await?.tasks);
    }
    output::write_line(&output::task::tasks(&tasks))
}

async fn describe(
    connection: &Connection,
    tasks: Vec<String>,
) -> Result<DescribeTasksResponse, Error> {
    let request = DescribeTasksRequest {
        cluster: connection.cluster.clone(),
        tasks,
    };
    connection
        .ecs(async |mut ecs| ecs.describe_tasks(request.clone()).await)
        .await
}
