//! The view on a terminal: one frame, drawn again in place.
//!
//! A frame is a pure function of the view and the elapsed time. Line wrap is off while it is drawn,
//! so that the number of lines to go back is the number that was written, at any width.

use std::time::Duration;

use roadstead_client::proto::console::ServiceView;
use roadstead_client::proto::ecs::{Deployment, Service};

use super::{Rollout, progress};

const BAR: usize = 24;
const NEWEST_EVENTS: usize = 5;

/// What stands on the terminal.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    view: Option<ServiceView>,
    note: Option<String>,
    lines: usize,
}

impl Screen {
    /// Takes a newer view; a note about the connection is settled by it.
    pub(crate) fn set_view(&mut self, view: ServiceView) {
        self.view = Some(view);
        self.note = None;
    }

    /// Takes a note to show below the frame.
    pub(crate) fn set_note(&mut self, note: String) {
        self.note = Some(note);
    }

    /// Returns what to write so that the new frame replaces the old one.
    pub(crate) fn redraw(&mut self, rollout: &Rollout, elapsed: Duration) -> String {
        let mut text = match &self.view {
            Some(view) => frame(rollout, view, elapsed),
            None => format!("{} waits for the control plane\n", rollout.service),
        };
        if let Some(note) = &self.note {
            text.push_str(&format!("\n  {note}\n"));
        }
        let back = match self.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}F"),
        };
        self.lines = text.lines().count();
        format!("\x1b[?7l{back}\x1b[J{text}\x1b[?7h")
    }
}

/// Returns one frame, each line ended.
pub(crate) fn frame(rollout: &Rollout, view: &ServiceView, elapsed: Duration) -> String {
    let service = view.service.clone().unwrap_or_default();
    let state = progress::find(&service, &rollout.deployment)
        .and_then(|ours| ours.rollout_state.as_deref())
        .unwrap_or("-");
    let mut frame = format!(
        "{} to {}  {}  {state}  {:.1} s\n\n",
        rollout.service,
        rollout.task_definition,
        rollout.deployment,
        elapsed.as_secs_f64(),
    );
    let widest = service
        .deployments
        .iter()
        .map(|deployment| name(deployment).len())
        .max();
    for deployment in &service.deployments {
        frame.push_str(&bar(deployment, &service, widest.unwrap_or(0)));
    }
    frame.push_str(&tallies(view));
    let mut events: Vec<&str> = progress::events_since(&service, &rollout.deployment)
        .take(NEWEST_EVENTS)
        .map(|event| event.message.as_deref().unwrap_or("-"))
        .collect();
    events.reverse();
    if !events.is_empty() {
        frame.push('\n');
    }
    for event in events {
        frame.push_str(&format!("  {event}\n"));
    }
    frame
}

fn name(deployment: &Deployment) -> &str {
    progress::short(deployment.task_definition.as_deref())
}

/// The full bar is the service's desired count, so that old and new are seen in proportion.
fn bar(deployment: &Deployment, service: &Service, widest: usize) -> String {
    let whole = at_least_zero(service.desired_count);
    let (running, pending) = (
        at_least_zero(deployment.running_count),
        at_least_zero(deployment.pending_count),
    );
    let cells = |count: usize| (count * BAR).checked_div(whole).unwrap_or(0).min(BAR);
    let full = cells(running);
    let half = cells(running + pending) - full;
    format!(
        "  {:<widest$}  {}{}{}  {running} running, {pending} pending of {}\n",
        name(deployment),
        "█".repeat(full),
        "▒".repeat(half),
        "░".repeat(BAR - full - half),
        at_least_zero(deployment.desired_count),
    )
}

fn at_least_zero(count: Option<i32>) -> usize {
    count
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(0)
}

fn tallies(view: &ServiceView) -> String {
    let mut text = String::from("\n");
    let rows = [
        ("tasks", progress::task_states(view)),
        ("targets", progress::target_health(view)),
    ];
    for (name, counts) in rows {
        if !counts.is_empty() {
            text.push_str(&format!("  {name:<7}  {}\n", progress::tally(&counts)));
        }
    }
    text
}
