//! The only place where the control plane reads the time of day.

use std::time::SystemTime;

use roadstead_core::Timestamp;

/// Returns the time now. A clock before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(now) = crate::simulation::now() {
        return now;
    }
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
