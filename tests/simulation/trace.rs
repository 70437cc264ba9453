//! What happened, line by line: equal for equal seeds.

use std::fmt;
use std::time::Duration;

use crate::random::hash;

/// The lines of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn add(&mut self, at: Duration, line: fmt::Arguments<'_>) {
        self.lines.push(format!("{:>8} {line}", at.as_millis()));
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// Returns one number for a whole trace.
pub(crate) fn digest(lines: &[String]) -> u64 {
    lines.iter().fold(0, |digest: u64, line| {
        digest.rotate_left(5) ^ hash(line.as_bytes())
    })
}
