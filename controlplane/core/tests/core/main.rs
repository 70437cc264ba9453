//! The core as a whole, in a small world of its own.

mod formats;
mod invariants;
mod lost_hosts;
mod pauses;
mod properties;
mod retries;
mod traffic;
mod world;
