//! What a run is made of: which faults it has, and which bug is planted in it.

use std::time::Duration;

use crate::invariants::Name;
use crate::planted::Plant;

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Only the control plane: servers, their links and their leadership. Every container does what it shall, so no request
    /// may be lost at all.
    Servers,
    /// Load balancers and their links too.
    Balancers,
    /// Hosts, agents, containers and images too.
    Everything,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) trouble: Trouble,
    /// For so long there are faults.
    pub(crate) faults: Duration,
    /// Afterwards everything has to be at rest within this.
    pub(crate) rest: Duration,
    pub(crate) plant: Plant,
    /// Only this invariant ends the run.
    pub(crate) only: Option<Name>,
}

impl Plan {
    /// Returns what a seed stands for.
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            trouble: match seed % 4 {
                0 => Trouble::Servers,
                1 => Trouble::Balancers,
                _ => Trouble::Everything,
            },
            faults: Duration::from_secs(30),
            rest: Duration::from_secs(90),
            plant: Plant::Nothing,
            only: None,
        }
    }

    /// Returns the same run with a bug in it, which this invariant shall find.
    pub(crate) fn with(self, plant: Plant, finder: Name) -> Self {
        Self {
            plant,
            only: Some(finder),
            ..self
        }
    }
}
