//! The service that the demo and the tests roll out: a tiny server of HTTP that can also misbehave on request.
//!
//! `GET /` says who answers, `/health` is for probes, `/headers` shows the request's, `/login` sets a cookie, `/slow?ms=N` takes its time,
//! `/memory?mib=N` takes memory and keeps it, `/exit?code=N` ends the process, `/chat` is a WebSocket that says what it hears, and gRPC's
//! health service says that it serves. All on one port, in HTTP/1.1 and HTTP/2, with and without TLS, by how a client begins; behind a
//! header of the PROXY protocol, `/headers` has the address in that as `proxied-for`. On SIGTERM it accepts nothing more, finishes what it
//! has but for WebSockets (unless it is hasty) and exits with 0. It is built statically, and `sample-service image` wraps the running binary
//! itself into an image.

mod action;
mod answer;
mod proxied;
mod tls;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use bytes::Bytes;
use clap::{Parser, Subcommand};
use hyper::Request;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use action::{action, carry_out};
use answer::answer;
use tls::{Begun, Tls};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// What the service calls its version.
    #[arg(long, env = "VERSION", default_value = "unversioned")]
    version: String,
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// Exits at SIGTERM whatever is under way, as many services do.
    #[arg(long, env = "HASTY")]
    hasty: bool,
    /// A path that is carried out once before anything is served, such as `/exit?code=3`.
    #[arg(long, env = "AT_START")]
    at_start: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes an OCI image archive of this very binary.
    Image {
        /// The image becomes `sample:VERSION`.
        #[arg(long)]
        version: String,
        #[arg(long)]
        output: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(Command::Image { version, output }) = &args.command {
        let binary = std::fs::read("/proc/self/exe").context("cannot read this binary")?;
        let archive = roadstead_tests::sample::image(version, &binary)?.archive()?;
        return std::fs::write(output, archive)
            .with_context(|| format!("cannot write {}", output.display()));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    if let Some(path) = &args.at_start {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        carry_out(action(path, query)).await;
    }
    let listener = TcpListener::bind(("0.0.0.0", args.port))
        .await
        .with_context(|| format!("cannot listen on port {}", args.port))?;
    let host = nix::unistd::gethostname()?;
    let greeting = Bytes::from(format!("{} {}\n", args.version, host.display()));

    let tls = Tls::new()?;
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("cannot accept")?;
                connections.spawn(meet(stream, tls.clone(), greeting.clone(), stop.clone()));
            }
            _ = terminate.recv() => break,
        }
    }
    if args.hasty {
        return Ok(());
    }
    drop(listener);
    stop.cancel();
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn meet(mut stream: TcpStream, tls: Tls, greeting: Bytes, stop: CancellationToken) {
    let begun = async {
        let proxied = proxied::read(&mut stream).await?;
        Ok((tls.begin(stream).await?, proxied))
    };
    let begun: io::Result<_> = tokio::select! {
        begun = begun => begun,
        () = stop.cancelled() => return,
    };
    match begun {
        Ok((Begun::Plain(stream), proxied)) => converse(stream, proxied, greeting, stop).await,
        Ok((Begun::Tls(stream), proxied)) => converse(*stream, proxied, greeting, stop).await,
        Err(error) => eprintln!("a connection broke at its beginning: {error}"),
    }
}

async fn converse<S>(stream: S, proxied: Option<IpAddr>, greeting: Bytes, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let proxied = proxied.and_then(|address| HeaderValue::try_from(address.to_string()).ok());
    let service = service_fn(move |mut request| {
        if let Some(address) = &proxied {
            let headers = Request::headers_mut(&mut request);
            headers.insert("proxied-for", address.clone());
        }
        answer(request, greeting.clone())
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        eprintln!("a connection broke: {error}");
    }
}
