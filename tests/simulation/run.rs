//! One run, from its seed to its verdict.

use std::sync::Arc;
use std::time::Duration;

use roadstead_server::simulation;
use tokio::time::sleep;

use crate::invariants::Name;
use crate::invariants::{everything_converges, nothing_lost, replicas_agree};
use crate::plan::Plan;
use crate::trace::digest;
use crate::world::{BALANCERS, HOSTS, SERVERS, Violation, World};
use crate::{agent, balancer, faults, host, user};

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Vec<String>,
    pub(crate) digest: u64,
    /// How long it took until everything was at rest, after the last fault.
    pub(crate) rested_after: Option<Duration>,
    pub(crate) requests: u64,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, plan: Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO can be built");
    runtime.block_on(async {
        let world = World::new(seed, plan, simulation::begin(seed));
        let rested_after = tokio::select! {
            biased;
            () = world.over.cancelled() => None,
            rested = story(&world) => rested,
        };
        world.servers.clear();
        for host in &world.hosts {
            host.kill_agent();
        }
        let requests = world.balancers.served();
        let trace = world.take_trace();
        Outcome {
            seed,
            violation: world.violation(),
            digest: digest(&trace),
            trace,
            rested_after,
            requests,
        }
    })
}

async fn story(world: &Arc<World>) -> Option<Duration> {
    begin(world);
    let user = user::begin(world).await;
    let trouble = tokio::spawn(faults::run(Arc::clone(world)));
    let busy = tokio::spawn(user::run(Arc::clone(world), user));
    sleep(world.plan.faults).await;
    trouble.abort();
    world.note(format_args!("the faults are over"));
    world.healed.cancel();
    faults::heal(world);
    let user = busy.await.expect("the user ends with the faults");
    user::settle(world, user).await;
    rest(world).await
}

fn begin(world: &Arc<World>) {
    let own = |world: &Arc<World>| Arc::clone(world);
    let (commits, elections) = (own(world), own(world));
    tokio::spawn(async move { commits.log.run(&commits).await });
    tokio::spawn(async move { elections.log.elect(&elections).await });
    for server in 0..SERVERS {
        let follower = own(world);
        tokio::spawn(async move { follower.log.follow(&follower, server).await });
        world.servers.start(world, server);
    }
    for number in 0..HOSTS {
        tokio::spawn(host::physics(own(world), number));
        agent::start(world, number);
    }
    for number in 0..BALANCERS {
        balancer::start(world, number);
    }
}

/// Waits until everything is at rest, and stays so.
async fn rest(world: &Arc<World>) -> Option<Duration> {
    let begin = world.elapsed();
    let mut at_rest = 0;
    while world.elapsed() < begin + world.plan.rest {
        sleep(Duration::from_millis(500)).await;
        replicas_agree::same_state(world);
        nothing_lost::wishes_are_kept(world);
        at_rest = if everything_converges::unrest(world).is_empty() {
            at_rest + 1
        } else {
            0
        };
        if at_rest == 6 {
            let rested = world.elapsed() - begin;
            world.note(format_args!("everything is at rest"));
            return Some(rested);
        }
    }
    for line in everything_converges::unrest(world) {
        world.violated(Name::EverythingConverges, line);
    }
    None
}
