//! Picks a target of a group, by the group's algorithm, among those that are fit.
//!
//! Pure: it sees where each target stands, whose turn it is, and a number drawn at random. When no target is healthy it fails
//! open to all that are not on their way out, as ALB does: a wrong health check must not take a whole service down.

/// How a group's requests are spread over its targets, as ALB names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Algorithm {
    #[default]
    RoundRobin,
    LeastOutstandingRequests,
    WeightedRandom,
}

/// Where a target stands for the request at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Healthy,
    /// Healthy, but in another zone than the load balancer: only when no other is.
    Far,
    /// Healthy by its probes, but requests have failed there: for want of anything better.
    Ejected,
    /// Initial or unhealthy: only for want of all of those.
    Doubtful,
    /// Healthy, but it has as many requests as it gets at once: not now.
    Full,
    /// As that, and ejected or doubtful.
    Crowded,
    /// Draining, or it refused this very request: never.
    Out,
}

/// The weight of a target that gets its full share; one that starts slowly has less.
pub(crate) const FULL_WEIGHT: u32 = 100;

/// What is known of the targets of a group, by their index.
pub(crate) trait Targets {
    fn count(&self) -> usize;
    fn standing(&self, index: usize) -> Standing;
    /// Returns 1 to `FULL_WEIGHT`.
    fn weight(&self, index: usize) -> u32;
    /// Returns how many requests are there.
    fn requests(&self, index: usize) -> u64;
}

/// Returns the index of the target that gets the request; `None` when every one is full or out.
pub(crate) fn pick(
    targets: &impl Targets,
    algorithm: Algorithm,
    turn: usize,
    draw: u32,
) -> Option<usize> {
    let (wanted, fit) = fit(targets)?;
    let chosen = match algorithm {
        Algorithm::RoundRobin if !starts_slowly(targets, wanted) => {
            of_standing(targets, wanted).nth(turn % fit)
        }
        Algorithm::RoundRobin | Algorithm::WeightedRandom => by_weight(targets, wanted, draw),
        Algorithm::LeastOutstandingRequests => {
            // Turned, so that the first of equals is not always the same.
            let first = turn % fit;
            let turned = of_standing(targets, wanted).skip(first);
            let turned = turned.chain(of_standing(targets, wanted).take(first));
            turned.min_by_key(|index| targets.requests(*index))
        }
    };
    // Another core changed a target meanwhile: any that is still fit will do.
    let unfit = [Standing::Full, Standing::Crowded, Standing::Out];
    let fit = |index: &usize| !unfit.contains(&targets.standing(*index));
    chosen.or_else(|| (0..targets.count()).find(fit))
}

/// Returns the standing that a target must have, and how many have it.
fn fit(targets: &impl Targets) -> Option<(Standing, usize)> {
    let (mut healthy, mut far, mut full, mut ejected, mut doubtful) = (0, 0, 0, 0, 0);
    for index in 0..targets.count() {
        match targets.standing(index) {
            Standing::Healthy => healthy += 1,
            Standing::Far => far += 1,
            Standing::Ejected => ejected += 1,
            Standing::Doubtful => doubtful += 1,
            Standing::Full => full += 1,
            Standing::Crowded | Standing::Out => {}
        }
    }
    let best_first = [
        (Standing::Healthy, healthy),
        (Standing::Far, far),
        // Better than the rest, though not now: what overflows does not go where it most likely fails.
        (Standing::Full, full),
        (Standing::Ejected, ejected),
        (Standing::Doubtful, doubtful),
    ];
    let best = best_first.into_iter().find(|(_, count)| *count > 0);
    best.filter(|(standing, _)| *standing != Standing::Full)
}

fn of_standing(targets: &impl Targets, wanted: Standing) -> impl Iterator<Item = usize> + Clone {
    (0..targets.count()).filter(move |index| targets.standing(*index) == wanted)
}

fn starts_slowly(targets: &impl Targets, wanted: Standing) -> bool {
    // The weight first: without slow start it is a constant, and the standing is not.
    (0..targets.count())
        .any(|index| targets.weight(index) < FULL_WEIGHT && targets.standing(index) == wanted)
}

fn by_weight(targets: &impl Targets, wanted: Standing, draw: u32) -> Option<usize> {
    let weighted = of_standing(targets, wanted).map(|index| (index, targets.weight(index)));
    drawn(draw, weighted)
}

/// Returns the one of those with their weights on which `draw`, a number taken at random, falls; `None` when all weigh
/// nothing.
pub(crate) fn drawn<T>(draw: u32, mut each: impl Iterator<Item = (T, u32)> + Clone) -> Option<T> {
    let sum = each.clone().map(|(_, weight)| u64::from(weight)).sum();
    let mut left = u64::from(draw).checked_rem(sum)?;
    each.find_map(|(one, weight)| match left.checked_sub(u64::from(weight)) {
        Some(rest) => {
            left = rest;
            None
        }
        None => Some(one),
    })
}

#[cfg(test)]
mod tests {
    use super::Algorithm::{LeastOutstandingRequests, RoundRobin, WeightedRandom};
    use super::Standing::{Crowded, Doubtful, Ejected, Full, Healthy, Out};
    use super::*;

    /// Standing, weight and requests of each.
    struct Given(Vec<(Standing, u32, u64)>);

    impl Targets for Given {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn standing(&self, index: usize) -> Standing {
            self.0[index].0
        }

        fn weight(&self, index: usize) -> u32 {
            self.0[index].1
        }

        fn requests(&self, index: usize) -> u64 {
            self.0[index].2
        }
    }

    fn standing(standings: &[Standing]) -> Given {
        let each = standings.iter();
        Given(each.map(|standing| (*standing, FULL_WEIGHT, 0)).collect())
    }

    fn picks(targets: &Given, turns: usize) -> Vec<Option<usize>> {
        (0..turns)
            .map(|turn| pick(targets, RoundRobin, turn, 0))
            .collect()
    }

    /// Returns how often each target is picked, over every remainder that a draw can leave.
    fn shares(targets: &Given, algorithm: Algorithm) -> Vec<usize> {
        let mut shares = vec![0; targets.count()];
        for draw in 0..600 {
            let turn = usize::try_from(draw).unwrap();
            shares[pick(targets, algorithm, turn, draw).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn healthy_targets_take_turns() {
        let targets = standing(&[Healthy, Doubtful, Healthy, Out]);
        assert_eq!(picks(&targets, 4), [Some(0), Some(2), Some(0), Some(2)]);
    }

    #[test]
    fn without_a_healthy_target_the_group_fails_open_to_all_but_those_that_are_out() {
        let targets = standing(&[Doubtful, Out, Doubtful]);
        assert_eq!(picks(&targets, 3), [Some(0), Some(2), Some(0)]);
        for algorithm in [LeastOutstandingRequests, WeightedRandom] {
            assert_eq!(shares(&targets, algorithm), [300, 0, 300]);
        }
    }

    #[test]
    fn an_ejected_target_is_better_than_one_whose_probes_fail() {
        let targets = standing(&[Doubtful, Ejected, Doubtful]);
        assert_eq!(picks(&targets, 2), [Some(1), Some(1)]);
        assert_eq!(picks(&standing(&[Ejected, Healthy]), 2), [Some(1), Some(1)]);
    }

    #[test]
    fn nothing_is_picked_when_every_target_is_out_or_there_is_none() {
        for algorithm in [RoundRobin, LeastOutstandingRequests, WeightedRandom] {
            assert_eq!(pick(&standing(&[Out, Out]), algorithm, 1, 1), None);
            assert_eq!(pick(&standing(&[]), algorithm, 1, 1), None);
        }
    }

    #[test]
    fn what_overflows_a_healthy_target_goes_to_no_worse_one() {
        for worse in [Ejected, Doubtful, Crowded, Out] {
            assert_eq!(
                pick(&standing(&[Full, worse]), RoundRobin, 0, 0),
                None,
                "{worse:?}"
            );
        }
        assert_eq!(picks(&standing(&[Full, Healthy]), 2), [Some(1), Some(1)]);
        assert_eq!(
            picks(&standing(&[Crowded, Doubtful]), 2),
            [Some(1), Some(1)]
        );
    }

    #[test]
    fn a_target_that_starts_slowly_has_its_share_of_the_draws() {
        let targets = Given(vec![(Healthy, 100, 0), (Healthy, 20, 0), (Doubtful, 1, 0)]);
        for algorithm in [RoundRobin, WeightedRandom] {
            assert_eq!(shares(&targets, algorithm), [500, 100, 0]);
        }
    }

    #[test]
    fn the_fewest_outstanding_requests_win_and_equals_take_turns() {
        let targets = Given(vec![
            (Healthy, 100, 7),
            (Healthy, 100, 3),
            (Out, 100, 0),
            (Healthy, 100, 3),
        ]);
        let shares = shares(&targets, LeastOutstandingRequests);
        assert_eq!((shares[0], shares[2]), (0, 0));
        assert!(shares[1] >= 200 && shares[3] >= 200, "{shares:?}");
    }
}
