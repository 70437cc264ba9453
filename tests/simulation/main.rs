//! The whole cluster in one thread: real core, loops and sessions; simulated agents, load balancers, network, clock and log.
//!
//! A seed decides everything, so it repeats a run. `ROADSTEAD_SEED=17` runs that seed alone and prints its whole trace,
//! `ROADSTEAD_SEED=201-1000` runs others than CI does.
//! How it works and what it has found: docs/design/0009-a-simulation-below-the-loops.md.

mod agent;
mod balancer;
mod cases;
mod faults;
mod host;
mod invariants;
mod log;
mod network;
mod plan;
mod planted;
mod random;
mod run;
mod server;
mod trace;
mod user;
mod world;
