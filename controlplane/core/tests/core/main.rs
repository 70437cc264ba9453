//! The core as a whole, in a small world of its own.

mod formats;
mod invariants;
mod properties;
mod retries;
mod world;
