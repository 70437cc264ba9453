//! Clients of all three servers write and read at once while servers are killed, cut off, deaf, mute and slow: what they
//! saw can be put into one order in which each read returns the last write.

mod clients;
mod register;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use roadstead_tests::cluster::Role;
use roadstead_tests::hosts::SlowDisk;
use roadstead_tests::{Hosts, eventually};

use crate::clients::Clients;

const SERVERS: [usize; 3] = [0, 1, 2];
const REGISTERS: usize = 4;
const FAULTS: usize = 16;
const DEADLINE: Duration = Duration::from_secs(30);
/// The operations that succeed while a fault lasts, and before the next.
const BETWEEN: usize = 150;
/// Runs the same faults once more; when they happen is another matter.
const SEED: &str = "ROADSTEAD_SEED";

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    KillAll,
    CutOff,
    Deafen,
    Mute,
    SlowDisk,
}

const ALL: [Fault; 6] = [
    Fault::Kill,
    Fault::KillAll,
    Fault::CutOff,
    Fault::Deafen,
    Fault::Mute,
    Fault::SlowDisk,
];

#[tokio::test]
async fn what_concurrent_clients_see_through_faults_is_linearizable() -> anyhow::Result<()> {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse()?,
        Err(_) => rand::random::<u32>().into(),
    };
    eprintln!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut hosts = Hosts::new(3)?;
    hosts.start_control_plane(&SERVERS).await?;
    let clients = Clients::start(&hosts, REGISTERS).await?;

    for _ in 0..FAULTS {
        let fault = *ALL.choose(&mut random).expect("there are faults");
        // The leader half of the time: most is decided there.
        let mut victim = random.random_range(0..SERVERS.len());
        if random.random_bool(0.5) {
            victim = hosts.leader().await?;
        }
        eprintln!("{fault:?} on {victim}");
        let slow = begin(&mut hosts, fault, victim).await?;
        if !matches!(fault, Fault::KillAll) {
            clients.go_on(BETWEEN).await?;
        }
        end(&mut hosts, fault, victim)?;
        drop(slow);
        clients.go_on(BETWEEN).await?;
    }

    let client = hosts.client()?;
    eventually(DEADLINE, "all three servers", async || {
        let members = client.members().await?;
        Ok(members
            .iter()
            .all(|one| one.trouble.is_none())
            .then_some(()))
    })
    .await?;
    let histories = clients.stop().await?;
    for (register, history) in histories.into_iter().enumerate() {
        eprintln!("register {register}: {history}");
        assert!(
            history.has_both(),
            "too little was seen of register {register}"
        );
        assert!(
            history.is_linearizable(),
            "register {register} is not linearizable, {SEED}={seed}: {:#?}",
            history.contradictions()
        );
    }
    hosts.finish().await
}

async fn begin(hosts: &mut Hosts, fault: Fault, victim: usize) -> anyhow::Result<Option<SlowDisk>> {
    match fault {
        Fault::Kill => hosts.host(victim).role(Role::Server)?.kill()?,
        Fault::KillAll => {
            for server in SERVERS {
                hosts.host(server).role(Role::Server)?.kill()?;
            }
        }
        Fault::CutOff => hosts.host(victim).cut_off()?,
        Fault::Deafen => hosts.host(victim).deafen()?,
        Fault::Mute => hosts.host(victim).mute()?,
        Fault::SlowDisk => {
            let delay = Duration::from_millis(300);
            return Ok(Some(hosts.host(victim).slow_disk(delay).await?));
        }
    }
    Ok(None)
}

fn end(hosts: &mut Hosts, fault: Fault, victim: usize) -> anyhow::Result<()> {
    match fault {
        Fault::Kill => hosts.host(victim).role(Role::Server)?.start_again()?,
        Fault::KillAll => {
            for server in SERVERS {
                hosts.host(server).role(Role::Server)?.start_again()?;
            }
        }
        Fault::CutOff | Fault::Deafen | Fault::Mute => hosts.host(victim).heal()?,
        Fault::SlowDisk => {}
    }
    Ok(())
}
