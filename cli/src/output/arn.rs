//! What people call the things that ARNs name.

/// Returns the last part of an ARN: a name or an id.
pub(crate) fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Returns NAME of `arn:…:targetgroup/NAME/ID`.
pub(crate) fn target_group_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

/// Returns NAME of `arn:…:loadbalancer/app/NAME/ID`.
pub(super) fn load_balancer_name(arn: &str) -> &str {
    arn.split('/').nth(2).unwrap_or(arn)
}
