//! Holds the requests to a service for a while: they wait at the load balancers instead of reaching a task.

use std::sync::Arc;
use std::time::Duration;

use crate::id::ServiceId;
use crate::state::ClusterState;
use crate::{Event, Rejection, Timestamp};

/// A client has long given up by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl ClusterState {
    /// Pauses a service until some moment, after which it goes on by itself; `None` lets it go on now.
    pub(in crate::state) fn pause_service(
        &mut self,
        id: &ServiceId,
        until: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let service = self.active_service(id)?;
        if service.spec.load_balancers.is_empty() {
            return Err(Rejection::invalid(format!(
                "service {} has no target group: there is no load balancer that could hold its requests.",
                id.service
            )));
        }
        if until.is_some_and(|until| until <= at || until > at.after(LONGEST_PAUSE)) {
            return Err(Rejection::invalid(format!(
                "a pause must be 1 to {} seconds.",
                LONGEST_PAUSE.as_secs()
            )));
        }
        let message = match until {
            Some(until) => format!(
                "holds its requests for {} seconds.",
                until.since(at).as_secs()
            ),
            None if service.paused_until.is_none_or(|until| until <= at) => return Ok(Vec::new()),
            None => "takes requests again.".to_owned(),
        };
        if let Some(service) = self.services.get_mut(id) {
            Arc::make_mut(service).paused_until = until;
        }
        self.tell(id, &message, at);
        Ok(self.routing_changed())
    }
}
