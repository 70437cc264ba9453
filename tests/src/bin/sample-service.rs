//! The service that the demo and the tests roll out: a tiny HTTP/1.1 server that can also misbehave on request.
//!
//! `GET /` says who answers, `/health` is for probes, `/slow?ms=N` takes its time, `/memory?mib=N` takes memory and
//! keeps it, `/exit?code=N` ends the process. On SIGTERM it accepts nothing more, finishes what it has (unless it is
//! hasty) and exits with 0. It is built statically, and `sample-service image` wraps the running binary itself into an image.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::{Parser, Subcommand};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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

    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("cannot accept")?;
                connections.spawn(converse(stream, greeting.clone(), stop.clone()));
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

async fn converse(stream: TcpStream, greeting: Bytes, stop: CancellationToken) {
    let service = service_fn(move |request| answer(request, greeting.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
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

async fn answer(
    request: Request<Incoming>,
    greeting: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri();
    let (status, body) = match action(uri.path(), uri.query().unwrap_or("")) {
        Action::Greet => (StatusCode::OK, greeting),
        Action::Unknown => (StatusCode::NOT_FOUND, Bytes::from_static(b"not found\n")),
        other => {
            carry_out(other).await;
            (StatusCode::OK, greeting)
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Greet,
    Wait(Duration),
    TakeMemory { mib: usize },
    Exit(i32),
    Unknown,
}

fn action(path: &str, query: &str) -> Action {
    match path {
        "/" | "/health" => Action::Greet,
        "/slow" => number(query, "ms").map_or(Action::Unknown, |ms| {
            Action::Wait(Duration::from_millis(u64::from(ms)))
        }),
        "/memory" => number(query, "mib")
            .and_then(|mib| usize::try_from(mib).ok())
            .map_or(Action::Unknown, |mib| Action::TakeMemory { mib }),
        "/exit" => number(query, "code")
            .and_then(|code| i32::try_from(code).ok())
            .map_or(Action::Unknown, Action::Exit),
        _ => Action::Unknown,
    }
}

fn number(query: &str, name: &str) -> Option<u32> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
}

async fn carry_out(action: Action) {
    match action {
        Action::Wait(time) => tokio::time::sleep(time).await,
        // Written to, so that the pages are really there, and leaked, so that they stay.
        Action::TakeMemory { mib } => {
            let _kept = vec![1_u8; mib << 20].leak();
        }
        Action::Exit(code) => std::process::exit(code),
        Action::Greet | Action::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_to_do() {
        assert_eq!(action("/", ""), Action::Greet);
        assert_eq!(
            action("/slow", "ms=250"),
            Action::Wait(Duration::from_millis(250))
        );
        assert_eq!(
            action("/memory", "x=1&mib=64"),
            Action::TakeMemory { mib: 64 }
        );
        assert_eq!(action("/exit", "code=3"), Action::Exit(3));
    }

    #[test]
    fn a_missing_or_bad_number_does_nothing() {
        for (path, query) in [
            ("/exit", ""),
            ("/exit", "code=x"),
            ("/slow", "mib=1"),
            ("/nowhere", ""),
        ] {
            assert_eq!(action(path, query), Action::Unknown, "{path}?{query}");
        }
    }
}
