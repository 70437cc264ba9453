//! The only place where the control plane makes ids.

use roadstead_core::id::{DeploymentId, JoinTokenId, ListenerId, RuleId, TaskId};

/// Returns 32 hex digits.
pub(crate) fn hex32() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn hex16() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Returns a secret of 128 bits.
pub(crate) fn secret() -> String {
    hex32()
}

pub(crate) fn join_token() -> JoinTokenId {
    JoinTokenId::new(hex16())
}

pub(crate) fn task() -> TaskId {
    TaskId::new(hex32())
}

pub(crate) fn listener() -> ListenerId {
    ListenerId::new(hex16())
}

pub(crate) fn rule() -> RuleId {
    RuleId::new(hex16())
}

/// Returns a number of 19 digits, as ECS numbers its deployments.
pub(crate) fn deployment() -> DeploymentId {
    DeploymentId(rand::random_range(
        1_000_000_000_000_000_000..=9_000_000_000_000_000_000,
    ))
}
