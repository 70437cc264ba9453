//! What keeps the newest table from being in force, for whoever asks: the control plane, `/healthz` and the journal.

use std::collections::BTreeMap;
use std::fmt;

/// What keeps the newest table from being in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Why a newer one is not followed.
    pub(crate) refused: Option<String>,
    /// Listeners that are not open, by their ports, and why.
    pub(crate) closed: BTreeMap<u16, String>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.closed.iter();
        let closed = closed.map(|(port, why)| format!("port {port} is not open: {why}"));
        let all: Vec<_> = self.refused.iter().cloned().chain(closed).collect();
        formatter.write_str(&all.join("; "))
    }
}

/// Returns an error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_one_line() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.to_string(), "");
        trouble.refused = Some("routing table 7 cannot be followed".to_owned());
        trouble.closed = BTreeMap::from([(80, "taken".to_owned()), (81, "forbidden".to_owned())]);
        assert_eq!(
            trouble.to_string(),
            "routing table 7 cannot be followed; port 80 is not open: taken; port 81 is not open: forbidden"
        );
    }
}
