//! The only place where the control plane makes ids.

use roadstead_core::id::{CertificateId, DeploymentId, JoinTokenId, ListenerId, RuleId, TaskId};

fn random() -> u128 {
    #[cfg(feature = "simulation")]
    if let Some(drawn) = crate::simulation::draw() {
        return drawn;
    }
    rand::random()
}

/// Returns 32 hex digits.
pub(crate) fn hex32() -> String {
    format!("{:032x}", random())
}

fn hex16() -> String {
    format!("{:016x}", random() >> 64)
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

pub(crate) fn certificate() -> CertificateId {
    CertificateId::new(hex32())
}

pub(crate) fn rule() -> RuleId {
    RuleId::new(hex16())
}

/// Returns a number of 19 digits, as ECS numbers its deployments.
pub(crate) fn deployment() -> DeploymentId {
    const FIRST: u64 = 1_000_000_000_000_000_000;
    // Of 64 bits all are drawn, so that no number is noticeably likelier than another.
    DeploymentId(FIRST + (random() >> 64) as u64 % (8 * FIRST))
}
