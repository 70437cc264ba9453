//! The load balancer on real sockets, with real targets and a control plane on a Unix socket.

#[cfg(test)]
mod conversation;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod health;
#[cfg(test)]
mod http1_conformance;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http2_conformance;
#[cfg(test)]
mod http2_expectations;
#[cfg(test)]
mod http2_targets;
#[cfg(test)]
mod https_targets;
#[cfg(test)]
mod interim;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod protection;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod sight;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod succession;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod tcp;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tunnels;
