//! What an agent does with its tasks, by the contract in `agent.proto`, one step at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_proto::agent::{
    DesiredTask, DesiredTasks, ObservedContainer, ObservedTask, PortBinding, TaskReport,
};
use tokio::time::Instant;

use crate::invariants::{no_overcommit, nothing_lost};
use crate::planted::Plant;
use crate::random::Random;
use crate::world::World;

const CPU_UNITS: u32 = 1024;
const MEMORY_MIB: u32 = 1000;
/// A port that is about to be given back is asked for again so soon.
const AGAIN: Duration = Duration::from_millis(100);

/// How an image behaves, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    Good,
    /// Cannot be pulled.
    Missing,
    /// Runs and never answers.
    Sick,
    /// Ends soon after its start.
    Crashes,
}

impl Image {
    /// Returns how the image of that name behaves.
    pub(crate) fn named(name: &str) -> Self {
        match name.split(':').next() {
            Some("missing") => Self::Missing,
            Some("sick") => Self::Sick,
            Some("crashes") => Self::Crashes,
            _ => Self::Good,
        }
    }
}

/// A container that really runs.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) cpu_units: u32,
    pub(crate) memory_mib: u32,
    pub(crate) host_port: u16,
    pub(crate) image: Image,
    pub(crate) exit_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Running,
    Stopped,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Pending { due: Instant },
    Running { since: Instant },
    Stopped,
}

/// What the agent has on disk of a task.
#[derive(Debug)]
struct Record {
    definition: DesiredTask,
    wanted: Wanted,
    phase: Phase,
    /// The stop code and its reason, for a task that stopped by itself.
    cause: Option<(&'static str, &'static str)>,
    host_port: u16,
    started_at: i64,
    stopped_at: i64,
}

/// A machine and its disk.
#[derive(Debug)]
pub(crate) struct Machine {
    /// 32 hex digits, kept for ever.
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) cpu_units: u32,
    pub(crate) memory_mib: u32,
    pub(crate) containers: BTreeMap<String, Container>,
    records: BTreeMap<String, Record>,
    /// The newest desired set that this agent process has taken in.
    revision: u64,
    next_port: u16,
    random: Random,
}

impl Machine {
    pub(crate) fn new(number: usize, random: Random) -> Self {
        Self {
            id: format!("{number:032x}"),
            address: format!("10.0.0.{number}"),
            cpu_units: CPU_UNITS,
            memory_mib: MEMORY_MIB,
            containers: BTreeMap::new(),
            records: BTreeMap::new(),
            revision: 0,
            next_port: 32_768,
            random,
        }
    }

    /// Returns of how many tasks there is a record.
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// An agent's process begins with what is on disk.
    pub(crate) fn agent_begins(&mut self, world: &World) {
        self.revision = 0;
        if world.plan.plant == Plant::AgentForgets {
            self.records.clear();
            self.containers.clear();
        }
        let due = Instant::now() + self.random.milliseconds(50, 500);
        for record in self.records.values_mut() {
            if let Phase::Pending { due: pulled } = &mut record.phase {
                *pulled = due;
            }
        }
    }

    /// Takes in a desired set unless it is older than the last one.
    pub(crate) fn accept(&mut self, world: &World, set: DesiredTasks) {
        if set.revision < self.revision {
            world.note(format_args!(
                "{} refuses revision {}",
                self.id, set.revision
            ));
            return;
        }
        self.revision = set.revision;
        let now = Instant::now();
        let mut gone: Vec<String> = self.records.keys().cloned().collect();
        for desired in set.tasks {
            gone.retain(|task| *task != desired.task_id);
            let wanted = match desired.desired_status.as_str() {
                "STOPPED" => Wanted::Stopped,
                _ => Wanted::Running,
            };
            if let Some(record) = self.records.get_mut(&desired.task_id) {
                // A stop is final.
                record.wanted = match (record.wanted, wanted) {
                    (Wanted::Stopped | Wanted::Gone, Wanted::Running) => Wanted::Stopped,
                    (_, wanted) => wanted,
                };
            } else {
                self.admit(world, desired, wanted, now);
            }
        }
        for task in gone {
            if let Some(record) = self.records.get_mut(&task) {
                record.wanted = Wanted::Gone;
            }
        }
    }

    /// A task that is past PENDING and not on record is lost, and never started again.
    fn admit(&mut self, world: &World, desired: DesiredTask, wanted: Wanted, now: Instant) {
        let fresh = matches!(
            desired.known_status.as_str(),
            "" | "PENDING" | "PROVISIONING"
        ) || world.plan.plant == Plant::AgentForgets;
        let slow = if self.random.chance(5) { 5_000 } else { 1_500 };
        let (phase, cause) = match (wanted, fresh) {
            (Wanted::Running, true) => {
                let due = now + self.random.milliseconds(100, slow);
                (Phase::Pending { due }, None)
            }
            (Wanted::Running, false) => {
                let lost = (
                    "EssentialContainerExited",
                    "The container instance has lost the task",
                );
                (Phase::Stopped, Some(lost))
            }
            (Wanted::Stopped | Wanted::Gone, _) => (Phase::Stopped, None),
        };
        let record = Record {
            wanted,
            phase,
            cause,
            host_port: 0,
            started_at: 0,
            stopped_at: 0,
            definition: desired,
        };
        self.records
            .insert(record.definition.task_id.clone(), record);
    }

    /// Takes every task as far as it goes now; returns when to look again.
    pub(crate) fn step(&mut self, world: &World) -> Option<Instant> {
        let now = Instant::now();
        let tasks: Vec<String> = self.records.keys().cloned().collect();
        for task in &tasks {
            self.step_task(world, task, now);
        }
        self.records
            .retain(|_, one| one.wanted != Wanted::Gone || one.phase != Phase::Stopped);
        let pending = self
            .records
            .values()
            .filter_map(|record| match record.phase {
                Phase::Pending { due } => Some(due),
                Phase::Running { .. } | Phase::Stopped => None,
            });
        pending.min()
    }

    fn step_task(&mut self, world: &World, task: &str, now: Instant) {
        let Some(record) = self.records.get_mut(task) else {
            return;
        };
        let ending = record.wanted != Wanted::Running;
        match record.phase {
            Phase::Pending { .. } if ending => record.stop(world),
            Phase::Pending { due } if due <= now => self.launch(world, task, now),
            Phase::Pending { .. } | Phase::Stopped => {}
            Phase::Running { .. } => match self.containers.get_mut(task) {
                None => {
                    if !ending {
                        let exited = (
                            "EssentialContainerExited",
                            "Essential container in task exited",
                        );
                        record.cause = Some(exited);
                    }
                    record.stop(world);
                }
                Some(_) if ending && world.plan.plant == Plant::AgentNeverStops => {}
                Some(container)
                    if ending
                        && container
                            .exit_at
                            .is_none_or(|at| at > now + Duration::from_secs(4)) =>
                {
                    world.note(format_args!("{} stops task {task}", self.id));
                    container.exit_at = Some(now + self.random.milliseconds(20, 3_000));
                    world.host(&self.id).stirred.notify_one();
                    if world.plan.plant == Plant::StoppedTooEarly {
                        record.stop(world);
                    }
                }
                Some(_) => {}
            },
        }
    }

    fn launch(&mut self, world: &World, task: &str, now: Instant) {
        let Some(record) = self.records.get_mut(task) else {
            return;
        };
        let definition = record
            .definition
            .containers
            .first()
            .cloned()
            .unwrap_or_default();
        let image = Image::named(definition.image.as_deref().unwrap_or_default());
        let unlucky = world.fails_at_random() && self.random.chance(3);
        if image == Image::Missing || unlucky {
            record.cause = Some(("TaskFailedToStart", "CannotPullContainerError"));
            record.stop(world);
            return;
        }
        let fixed = definition
            .port_mappings
            .first()
            .and_then(|mapping| mapping.host_port);
        let fixed = u16::try_from(fixed.unwrap_or(0)).unwrap_or(0);
        if fixed != 0 && self.containers.values().any(|one| one.host_port == fixed) {
            record.phase = Phase::Pending { due: now + AGAIN };
            return;
        }
        if fixed == 0 {
            self.next_port += 1;
        }
        let amount = |amount: Option<i32>| u32::try_from(amount.unwrap_or(0)).unwrap_or(0);
        let container = Container {
            cpu_units: amount(definition.cpu),
            memory_mib: amount(definition.memory),
            host_port: if fixed == 0 { self.next_port } else { fixed },
            image,
            exit_at: (image == Image::Crashes).then(|| now + self.random.milliseconds(500, 4_000)),
        };
        record.host_port = container.host_port;
        record.phase = Phase::Running { since: now };
        record.started_at = world.now().0;
        self.containers.insert(task.to_owned(), container);
        world.note(format_args!("{} starts task {task}", self.id));
        world.host(&self.id).stirred.notify_one();
        let state = world.state();
        nothing_lost::starts(world, &state, self, task);
        no_overcommit::really(world, &state, self);
    }

    /// Ends the containers whose time has come; returns their tasks, and when the next one's has.
    pub(crate) fn end_containers(&mut self, now: Instant) -> (Vec<String>, Option<Instant>) {
        let due = |_: &String, one: &mut Container| one.exit_at.is_some_and(|at| at <= now);
        let ended = self
            .containers
            .extract_if(.., due)
            .map(|(task, _)| task)
            .collect();
        (
            ended,
            self.containers.values().filter_map(|one| one.exit_at).min(),
        )
    }

    /// Returns the complete report.
    pub(crate) fn report(&self) -> TaskReport {
        TaskReport {
            tasks: self.records.values().map(Record::observed).collect(),
        }
    }
}

impl Record {
    fn stop(&mut self, world: &World) {
        self.phase = Phase::Stopped;
        self.stopped_at = world.now().0;
    }

    fn observed(&self) -> ObservedTask {
        let ending = self.wanted != Wanted::Running;
        let (status, container_status) = match self.phase {
            Phase::Stopped => ("STOPPED", "STOPPED"),
            Phase::Running { .. } if ending => ("STOPPING", "RUNNING"),
            Phase::Running { .. } => ("RUNNING", "RUNNING"),
            Phase::Pending { .. } => ("PENDING", "PENDING"),
        };
        let cause = self.cause.filter(|_| self.phase == Phase::Stopped);
        let (stop_code, stopped_reason) = cause.unwrap_or_default();
        let container = self.definition.containers.first();
        let checked = container.is_some_and(|one| one.health_check.is_some());
        let health = match self.phase {
            Phase::Running { since } if checked && since.elapsed() >= Duration::from_secs(1) => {
                "HEALTHY"
            }
            _ => "UNKNOWN",
        };
        let mappings = container
            .map(|one| one.port_mappings.as_slice())
            .unwrap_or_default();
        let binding = |port: Option<i32>| PortBinding {
            container_port: u32::try_from(port.unwrap_or(0)).unwrap_or(0),
            host_port: self.host_port.into(),
            protocol: "tcp".to_owned(),
        };
        let bindings = mappings.iter().filter(|_| self.host_port != 0);
        ObservedTask {
            task_id: self.definition.task_id.clone(),
            last_status: status.to_owned(),
            containers: vec![ObservedContainer {
                name: container
                    .and_then(|one| one.name.clone())
                    .unwrap_or_default(),
                last_status: container_status.to_owned(),
                health_status: health.to_owned(),
                port_bindings: bindings.map(|one| binding(one.container_port)).collect(),
                ..ObservedContainer::default()
            }],
            stop_code: stop_code.to_owned(),
            stopped_reason: stopped_reason.to_owned(),
            health_status: health.to_owned(),
            started_at: self.started_at,
            stopped_at: self.stopped_at,
            ..ObservedTask::default()
        }
    }
}
