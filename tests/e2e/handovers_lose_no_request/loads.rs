//! Clients that ask all the time.

use std::num::NonZeroUsize;

use roadstead_tests::http::{Tls, Url};
use roadstead_tests::load::{Load, Options};

/// One client keeps its connections, the other opens one for each request.
pub(crate) fn loads(url: &Url) -> anyhow::Result<[Load; 2]> {
    loads_with(Options::new(url.clone()))
}

/// As `loads`, of clients that shake hands.
pub(crate) fn loads_in_tls(url: &Url, tls: Tls) -> anyhow::Result<[Load; 2]> {
    loads_with(Options {
        tls: Some(tls),
        ..Options::new(url.clone())
    })
}

fn loads_with(kept: Options) -> anyhow::Result<[Load; 2]> {
    let anew = Options {
        keep_alive: false,
        connections: NonZeroUsize::new(8).expect("8 is not zero"),
        ..kept.clone()
    };
    Ok([Load::start(kept)?, Load::start(anew)?])
}

pub(crate) async fn answered(loads: &[Load]) -> anyhow::Result<()> {
    for load in loads {
        load.wait_for_answers(300).await?;
    }
    Ok(())
}

pub(crate) async fn without_loss(loads: [Load; 2]) -> anyhow::Result<()> {
    for load in loads {
        // It waits for the last answers, which targets on this thread have to give.
        let report = tokio::task::spawn_blocking(|| load.stop()).await?;
        assert_eq!(report.failed, 0, "{report}");
    }
    Ok(())
}
