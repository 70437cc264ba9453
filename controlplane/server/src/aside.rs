//! A server that takes no part for a while: it answers every call with the reason, so that others turn elsewhere at once
//! and an operator reads why.

use roadstead_client::Credentials;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tracing::error;

use crate::disk::{self, DiskFull};
use crate::serve::{self, ServerError};
use crate::{Config, tls};

/// Stays aside until the disk has room, or `stop`.
pub(crate) async fn until_there_is_room(config: &Config, full: DiskFull, stop: &CancellationToken) {
    error!(
        directory = %config.data_dir.display(),
        error = &full as &dyn std::error::Error,
        "this server takes no part until there is room; nothing that was acknowledged is lost"
    );
    let back = stop.child_token();
    let answering = async {
        if let Err(error) = answer(config, full, &back).await {
            error!(
                error = &error as &dyn std::error::Error,
                "cannot even say so to those who ask"
            );
        }
    };
    let waiting = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = disk::until_enough(&config.data_dir) => {}
        }
        back.cancel();
    };
    tokio::join!(answering, waiting);
}

async fn answer(
    config: &Config,
    full: DiskFull,
    stop: &CancellationToken,
) -> Result<(), ServerError> {
    let reason = format!("server {} takes no part: {full}", config.id);
    let refusal = move || {
        let refusal = Status::unavailable(&reason);
        async move { refusal.into_http::<Body>() }
    };
    let routes = Routes::from(Routes::default().into_axum_router().fallback(refusal));
    let listener: UnixListener = serve::listen(&config.socket).await?;
    let local = serve::builder()
        .add_routes(routes.clone())
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.cancelled());
    let others = async {
        let credentials = Credentials::load(&Credentials::directory(&config.data_dir))?;
        match (&config.remote, credentials) {
            (Some(remote), Some(credentials)) => {
                tls::listen(remote, &credentials, routes, stop).await
            }
            _ => Ok(()),
        }
    };
    tokio::try_join!(async { local.await.map_err(ServerError::from) }, others).map(|_| ())
}
