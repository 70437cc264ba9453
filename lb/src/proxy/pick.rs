//! Finds the target of a request, and takes a ticket to it.

use std::sync::Arc;
use std::time::Instant;

use super::kind::Kind;
use super::refusal::Refusal;
use super::stickiness::{self, Sticky};
use super::tried::Tried;
use super::turn::Turn;
use super::{Own, rule};
use crate::balance::{self, Standing, Targets};
use crate::client::Client;
use crate::routing::{self, Action, Asked};
use crate::table::TargetGroup;
use crate::target::Ticket;

const AMBIGUOUS_PATH: Refusal =
    Refusal::BadRequest("servers may read the path in ways for which there are different rules");

/// Where a request goes.
pub(super) struct Picked {
    pub(super) ticket: Ticket,
    pub(super) sticky: Option<Sticky>,
}

/// What comes of a look at the table.
enum Next {
    Go(Picked),
    /// There is no target for it yet; the number of calls says how old that look is.
    Wait(Arc<TargetGroup>, u64),
}

/// Waits for the turn of a request, unless its rule answers by itself, and takes a ticket to its target.
pub(super) async fn next(
    client: &Client,
    asked: &Asked<'_>,
    kind: Kind,
    draw: u32,
    turn: &mut Turn,
    tried: &mut Tried,
) -> Result<Picked, Own> {
    loop {
        match look(client, asked, kind, draw, turn, tried) {
            Ok(Next::Go(picked)) => {
                tried.passed_on();
                turn.end();
                return Ok(picked);
            }
            Ok(Next::Wait(group, calls)) => {
                tried.leave(client);
                turn.wait(&client.link, &group, calls, tried.again_at())
                    .await?;
                tried.forget_unreachable(turn.now());
            }
            // Its own last attempt may be what fills the target.
            Err(Own::Refusal(Refusal::Overload)) if tried.may_fill_a_target() => tried.passed_on(),
            Err(Own::Refusal(refusal)) => return Err(tried.in_vain(refusal).into()),
            Err(answer) => return Err(answer),
        }
    }
}

/// Takes a ticket to the target whose turn it is, unless the rule answers by itself, or the request is to wait.
fn look(
    client: &Client,
    asked: &Asked<'_>,
    kind: Kind,
    draw: u32,
    turn: &Turn,
    tried: &mut Tried,
) -> Result<Next, Own> {
    let now = turn.now();
    let shared = &client.shared;
    let mut measured = turn.has_waited() || tried.attempts > 0;
    loop {
        tried.rule = None;
        let table = shared.table.load();
        let listener = table.listener(client.door.port).ok_or(Refusal::NoTarget)?;
        if let Some(meter) = listener.meter.as_ref().filter(|_| !measured) {
            let taken = meter.take(client.address, now);
            taken.map_err(Refusal::TooManyRequests)?;
        }
        measured = true;
        let rule = routing::route(&listener.rules, asked);
        let rule = rule.map_err(|_ambiguous| AMBIGUOUS_PATH)?;
        let rule = rule.ok_or(Refusal::NoTarget)?;
        let forward = match &rule.action {
            Action::Forward(forward) => forward,
            Action::Redirect(redirect) => {
                return Err(rule::redirect(redirect, asked, client, rule.priority));
            }
            Action::Fixed(response) => return Err(rule::fixed(response, rule.priority)),
        };
        tried.rule = Some(rule.priority);
        let group = stickiness::group(asked.headers, forward)
            .or_else(|| forward.choose(draw))
            .ok_or(Refusal::NoTarget)?;
        if !kind.is_understood_by(group.protocol_version) {
            return Err(Refusal::IncompatibleProtocol.into());
        }
        let calls = group.room.calls();
        let may_wait = turn.may_wait(group);
        if may_wait && turn.is_behind(group) {
            return Ok(Next::Wait(Arc::clone(group), calls));
        }
        let tried: &Tried = tried;
        let seen = Seen { group, tried, now };
        let enough = tried.is_enough();
        let chosen = stickiness::target(asked.headers, group)
            .filter(|index| {
                [Standing::Healthy, Standing::Far].contains(&seen.usual_standing(*index))
            })
            .or_else(|| {
                let turn = group.turn(client.worker);
                // Another number than the one that chose the group: the two must not go together.
                balance::pick(&seen, group.algorithm, turn, draw.rotate_left(16))
            });
        // One that waits would rather have a target that is ready than any that is not.
        let chosen = chosen.filter(|index| !may_wait || seen.is_ready(*index));
        match chosen {
            Some(index) if !enough => {
                let target = &group.targets[index];
                // No ticket: it began to drain this instant, or another request has filled it. The next look sees that.
                if let Some(ticket) = Ticket::begin(target, group.counts.as_ref(), client.worker) {
                    let sticky = Sticky::to(forward, group, target);
                    return Ok(Next::Go(Picked { ticket, sticky }));
                }
            }
            // The targets of an old table drain after the new one is in place: look there first.
            Some(_) | None if !enough && !Arc::ptr_eq(&table, &shared.table.load()) => {}
            Some(_) | None if may_wait && enough && tried.again_at().is_some() => {
                return Ok(Next::Wait(Arc::clone(group), calls));
            }
            None if may_wait && !enough => return Ok(Next::Wait(Arc::clone(group), calls)),
            Some(_) | None => {
                if tried.last.is_none()
                    && let Some(counts) = &group.counts
                {
                    counts.of(client.worker).failed.add(1);
                }
                let full = [Standing::Full, Standing::Crowded];
                let is_full = (0..seen.count()).any(|one| full.contains(&seen.standing(one)));
                let refusal = if is_full {
                    Refusal::Overload
                } else {
                    Refusal::NoTarget
                };
                return Err(refusal.into());
            }
        }
    }
}

/// The targets of a group, as one request sees them.
struct Seen<'a> {
    group: &'a TargetGroup,
    tried: &'a Tried,
    now: Instant,
}

impl Seen<'_> {
    /// Returns where a target stands for a request that was not sent there yet.
    fn usual_standing(&self, index: usize) -> Standing {
        let target = &self.group.targets[index];
        if target.is_draining() || self.tried.excludes(target) {
            Standing::Out
        } else if !target.is_healthy() || target.is_ejected(self.now) {
            match target.is_healthy() {
                _ if target.is_full() => Standing::Crowded,
                true => Standing::Ejected,
                false => Standing::Doubtful,
            }
        } else if target.is_full() {
            Standing::Full
        } else if self.group.prefers_own_zone && !target.is_near() {
            Standing::Far
        } else {
            Standing::Healthy
        }
    }

    fn is_ready(&self, index: usize) -> bool {
        [Standing::Healthy, Standing::Far, Standing::Ejected].contains(&self.standing(index))
    }
}

impl Targets for Seen<'_> {
    fn count(&self) -> usize {
        self.group.targets.len()
    }

    fn standing(&self, index: usize) -> Standing {
        match self.usual_standing(index) {
            // It may be dying: its connections end before its socket closes, and the kernel accepts for it meanwhile.
            Standing::Healthy | Standing::Far
                if self.tried.was_sent_to(&self.group.targets[index]) =>
            {
                Standing::Ejected
            }
            standing => standing,
        }
    }

    fn weight(&self, index: usize) -> u32 {
        let slow_start = self.group.slow_start;
        slow_start.map_or(balance::FULL_WEIGHT, |duration| {
            self.group.targets[index].weight(self.now, duration)
        })
    }

    fn requests(&self, index: usize) -> u64 {
        self.group.targets[index].requests()
    }
}
