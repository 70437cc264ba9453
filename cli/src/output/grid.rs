//! The two shapes of every view: a grid of rows, and a list of named fields.

use std::time::{Duration, UNIX_EPOCH};

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::arn::last_part;

/// What stands for a value that is absent.
const ABSENT: &str = "-";

/// Returns rows under their headings, columns two spaces apart.
pub(crate) fn grid<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Returns one `Name:  value` line for each field, values aligned.
pub(super) fn fields<const COUNT: usize>(fields: [(&str, String); COUNT]) -> String {
    let widest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = fields.map(|(name, value)| {
        let label = format!("{name}:");
        format!("{label:<width$}{value}", width = widest + 3)
    });
    lines.join("\n")
}

/// Returns a text, or a dash.
pub(super) fn text(value: Option<&String>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), Clone::clone)
}

/// Returns a number, or a dash.
pub(super) fn number<N: ToString>(value: Option<N>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), |number| number.to_string())
}

/// Returns texts with a comma and a space between them, or a dash.
pub(super) fn joined(values: &[String]) -> String {
    if values.is_empty() {
        ABSENT.to_owned()
    } else {
        values.join(", ")
    }
}

/// Returns the last part of an ARN: the name or id that people use.
pub(super) fn short(arn: Option<&String>) -> String {
    last_part(&text(arn)).to_owned()
}

/// Returns a point in time, given in seconds since the epoch, as RFC 3339 in UTC.
pub(super) fn time(seconds: Option<f64>) -> String {
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|since| UNIX_EPOCH.checked_add(since))
        .map_or_else(
            || ABSENT.to_owned(),
            |time| humantime::format_rfc3339_seconds(time).to_string(),
        )
}
