//! What goes wrong, when the seed wants it, and how it is mended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::network::Place;
use crate::plan::Trouble;
use crate::random::Random;
use crate::world::{BALANCERS, HOSTS, SERVERS, World};
use crate::{agent, balancer};

/// One fault after the other, some of them at the same time, until it is aborted.
pub(crate) async fn run(world: Arc<World>) {
    let mut random = Random::new(world.seed, "faults");
    sleep(random.milliseconds(1_000, 5_000)).await;
    loop {
        let most = match world.plan.trouble {
            Trouble::Servers => 49,
            Trouble::Balancers => 89,
            Trouble::Everything => 139,
        };
        match random.between(0, most) {
            0..=14 => crash(&world, &mut random),
            15..=24 => world.log.depose(&world),
            25..=49 => isolate(&world, &mut random),
            50..=74 => kill_balancer(&world, &mut random),
            75..=89 => cut_off_a_balancer(&world, &mut random),
            90..=104 => kill_agent(&world, &mut random),
            105..=114 => cut_off_a_host(&world, &mut random),
            115..=122 => lose_a_host(&world, &mut random),
            _ => {
                let host = random.index(HOSTS);
                world.hosts[host].let_one_die(&world, &mut random);
            }
        }
        sleep(random.milliseconds(200, 3_000)).await;
    }
}

/// Mends everything that is not mended by itself.
pub(crate) fn heal(world: &Arc<World>) {
    world.network.mend_all();
    for server in 0..SERVERS {
        world.servers.start(world, server);
    }
    for host in 0..HOSTS {
        power_on(world, host);
    }
    for number in 0..BALANCERS {
        balancer::start(world, number);
    }
}

fn later(world: &Arc<World>, after: Duration, mend: impl FnOnce(&Arc<World>) + Send + 'static) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        sleep(after).await;
        mend(&world);
    });
}

fn crash(world: &Arc<World>, random: &mut Random) {
    let server = match world.log.leader() {
        Some(leader) if random.chance(60) => leader,
        _ => random.index(SERVERS),
    };
    let power = random.chance(60);
    world.servers.crash(world, server, power);
    let after = if power { (100, 3_000) } else { (2_000, 9_000) };
    later(world, random.milliseconds(after.0, after.1), move |world| {
        world.servers.start(world, server);
    });
}

/// Cuts a server off from the other servers, from everybody, or in one direction.
fn isolate(world: &Arc<World>, random: &mut Random) {
    let server = match world.log.leader() {
        Some(leader) if random.chance(60) => leader,
        _ => random.index(SERVERS),
    };
    let own = Place::Server(server);
    let mut others: Vec<Place> = (0..SERVERS).map(Place::Server).collect();
    if random.chance(40) {
        others.extend((0..HOSTS).map(Place::Host));
        others.extend((0..BALANCERS).map(Place::Balancer));
    }
    others.retain(|place| *place != own);
    let lasts = random.milliseconds(300, 15_000);
    cut(world, random, own, &others, lasts);
}

fn cut(world: &Arc<World>, random: &mut Random, place: Place, others: &[Place], lasts: Duration) {
    let (out, back) = match random.between(0, 3) {
        0 => (true, false),
        1 => (false, true),
        _ => (true, true),
    };
    world.note(format_args!(
        "{place:?} is cut off from {others:?} for {lasts:?}, out {out}, back {back}"
    ));
    for other in others {
        if out {
            world.network.cut(place, *other);
        }
        if back {
            world.network.cut(*other, place);
        }
    }
    let others = others.to_vec();
    later(world, lasts, move |world| {
        for other in others {
            world.network.mend(place, other);
            world.network.mend(other, place);
        }
    });
}

fn kill_balancer(world: &Arc<World>, random: &mut Random) {
    let number = random.index(BALANCERS);
    world.balancers.kill(world, number);
    later(world, random.milliseconds(50, 4_000), move |world| {
        balancer::start(world, number);
    });
}

fn cut_off_a_balancer(world: &Arc<World>, random: &mut Random) {
    let own = Place::Balancer(random.index(BALANCERS));
    let mut others: Vec<Place> = (0..SERVERS).map(Place::Server).collect();
    if world.plan.trouble == Trouble::Everything && random.chance(30) {
        others = vec![Place::Host(random.index(HOSTS))];
    }
    // Sometimes for so long that it is struck off.
    let most = if random.chance(15) { 40_000 } else { 8_000 };
    let lasts = random.milliseconds(300, most);
    cut(world, random, own, &others, lasts);
}

fn kill_agent(world: &Arc<World>, random: &mut Random) {
    let host = random.index(HOSTS);
    world.note(format_args!("the agent of host {host} is killed"));
    world.hosts[host].kill_agent();
    later(world, random.milliseconds(50, 6_000), move |world| {
        power_on(world, host);
    });
}

fn cut_off_a_host(world: &Arc<World>, random: &mut Random) {
    let own = Place::Host(random.index(HOSTS));
    let mut others: Vec<Place> = (0..SERVERS).map(Place::Server).collect();
    if random.chance(50) {
        others.extend((0..BALANCERS).map(Place::Balancer));
    }
    let lasts = random.milliseconds(300, 12_000);
    cut(world, random, own, &others, lasts);
}

fn lose_a_host(world: &Arc<World>, random: &mut Random) {
    let host = random.index(HOSTS);
    world.hosts[host].power_off(world);
    later(world, random.milliseconds(1_000, 15_000), move |world| {
        power_on(world, host);
    });
}

fn power_on(world: &Arc<World>, host: usize) {
    world.network.lighten(Place::Host(host));
    agent::start(world, host);
}
