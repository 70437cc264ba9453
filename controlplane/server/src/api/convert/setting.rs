//! Messages in which one field says what kind of thing is meant, and each other one is a setting of one kind.

use roadstead_core::Rejection;

/// A setting of a message.
pub(super) struct Setting {
    kind: &'static str,
    name: &'static str,
    is_given: bool,
}

/// Returns the setting of a kind.
pub(super) fn of<T>(kind: &'static str, name: &'static str, value: &Option<T>) -> Setting {
    Setting {
        kind,
        name,
        is_given: value.is_some(),
    }
}

/// Refuses a setting of another kind than the one that is meant: it would be forgotten without a word. `field` says, in the
/// refusal, which field tells the kind.
pub(super) fn check_alone(field: &str, kind: &str, settings: &[Setting]) -> Result<(), Rejection> {
    let mut given = settings.iter().filter(|setting| setting.is_given);
    match given.find(|setting| setting.kind != kind) {
        None => Ok(()),
        Some(Setting { kind: of, name, .. }) => Err(Rejection::validation(format!(
            "{name} goes with {field} {of}, not '{kind}'"
        ))),
    }
}
