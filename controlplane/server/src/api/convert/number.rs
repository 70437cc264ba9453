//! Numbers in requests: the wire is signed, the core is not.

use roadstead_core::Rejection;

/// Reads a number that must not be negative.
pub(crate) fn unsigned(value: Option<i32>, field: &str) -> Result<Option<u32>, Rejection> {
    value
        .map(|value| {
            u32::try_from(value)
                .map_err(|_| Rejection::invalid(format!("{field} must not be negative.")))
        })
        .transpose()
}

/// Reads a port; 0 is taken only where `zero` says that it means something.
pub(crate) fn port(value: Option<i32>, field: &str, zero: bool) -> Result<u16, Rejection> {
    let number = value.unwrap_or(0);
    match u16::try_from(number) {
        Ok(port) if port > 0 || zero => Ok(port),
        Ok(_) | Err(_) => Err(Rejection::invalid(format!(
            "{field} must be {} to 65535.",
            u16::from(!zero)
        ))),
    }
}
