//! Serves from a table file, for measurements without the rest of Roadstead:
//! `table_file FILE [WORKERS]`.

use std::path::PathBuf;

use roadstead_lb::{Config, Source, run};
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(
        arguments
            .next()
            .ok_or("the path of a table file is missing")?,
    );
    let workers = arguments.next().map_or(Ok(0), |workers| workers.parse())?;
    tracing_subscriber::fmt().init();
    let config = Config {
        workers,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    runtime.block_on(async move {
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.cancel();
            }
        });
        run(config, Source::File(path), stop).await
    })?;
    Ok(())
}
