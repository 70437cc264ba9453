//! Picks a target of a group: round robin over those that are fit.
//!
//! Pure: it sees where each target stands and whose turn it is. When no target is healthy it fails
//! open to all that are not on their way out, as ALB does: a wrong health check must not take a
//! whole service down.

/// Where a target stands for the request at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Healthy,
    /// Initial or unhealthy: only for want of anything better.
    Doubtful,
    /// Draining, or it refused this very request: never.
    Out,
}

/// Returns the index of the target whose turn it is; `None` when every one is out.
pub(crate) fn pick(
    targets: usize,
    standing: impl Fn(usize) -> Standing,
    turn: usize,
) -> Option<usize> {
    let mut healthy = 0;
    let mut doubtful = 0;
    for index in 0..targets {
        match standing(index) {
            Standing::Healthy => healthy += 1,
            Standing::Doubtful => doubtful += 1,
            Standing::Out => {}
        }
    }
    let (wanted, fit) = if healthy > 0 {
        (Standing::Healthy, healthy)
    } else {
        (Standing::Doubtful, doubtful)
    };
    if fit == 0 {
        return None;
    }
    let mut before = turn % fit;
    for index in 0..targets {
        if standing(index) == wanted {
            if before == 0 {
                return Some(index);
            }
            before -= 1;
        }
    }
    // Another core changed a target between the two passes: any that is still fit will do.
    (0..targets).find(|index| standing(*index) != Standing::Out)
}

#[cfg(test)]
mod tests {
    use super::Standing::{Doubtful, Healthy, Out};
    use super::*;

    fn picks(standings: &[Standing], turns: usize) -> Vec<Option<usize>> {
        (0..turns)
            .map(|turn| pick(standings.len(), |index| standings[index], turn))
            .collect()
    }

    #[test]
    fn healthy_targets_take_turns() {
        assert_eq!(
            picks(&[Healthy, Doubtful, Healthy, Out], 4),
            [Some(0), Some(2), Some(0), Some(2)]
        );
    }

    #[test]
    fn without_a_healthy_target_the_group_fails_open_to_all_but_those_that_are_out() {
        assert_eq!(
            picks(&[Doubtful, Out, Doubtful], 3),
            [Some(0), Some(2), Some(0)]
        );
    }

    #[test]
    fn nothing_is_picked_when_every_target_is_out_or_there_is_none() {
        assert_eq!(picks(&[Out, Out], 1), [None]);
        assert_eq!(picks(&[], 1), [None]);
    }
}
