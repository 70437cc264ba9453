//! Three servers, two agents and a load balancer on five hosts: what they survive, and what traffic notices of it.

mod drain;
mod https;
mod load_balancers;
mod losses;
mod rollouts;
mod servers;
mod story;
