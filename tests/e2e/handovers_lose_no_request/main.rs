//! A load balancer is told to hand over: its successor has the next request, and no client notices.

mod alone;
mod conversations;
mod lasting;
mod loads;
mod rollouts;
mod successors;
