//! The signal that asks a container to stop, as images write it.

use nix::sys::signal::Signal;

/// Returns the number of a signal written `SIGQUIT`, `QUIT` or `3`; SIGTERM for anything else.
#[must_use]
pub(crate) fn stop_signal(text: Option<&str>) -> i32 {
    let parsed = text.and_then(|text| {
        let number = text
            .parse()
            .ok()
            .and_then(|n: i32| Signal::try_from(n).ok());
        let name = text
            .strip_prefix("SIG")
            .unwrap_or(text)
            .to_ascii_uppercase();
        number.or_else(|| format!("SIG{name}").parse().ok())
    });
    parsed.unwrap_or(Signal::SIGTERM) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_in_every_spelling() {
        for text in ["SIGQUIT", "QUIT", "3"] {
            assert_eq!(stop_signal(Some(text)), 3);
        }
        assert_eq!(stop_signal(None), 15);
        assert_eq!(stop_signal(Some("SIGNONSENSE")), 15);
    }
}
