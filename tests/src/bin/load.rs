//! The load client on the command line: asks at a constant rate, then reports. Exits with 1 if any request failed.

use std::io::{self, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use roadstead_tests::http::Url;
use roadstead_tests::load::{Load, Options};

#[derive(Debug, Parser)]
struct Args {
    #[arg(long)]
    url: Url,
    /// Requests a second.
    #[arg(long, default_value = "300")]
    rate: NonZeroU32,
    /// At most so many connections at once.
    #[arg(long, default_value = "32")]
    connections: NonZeroUsize,
    /// Open a connection for each request.
    #[arg(long)]
    no_keep_alive: bool,
    /// Seconds until a request without its complete answer has failed.
    #[arg(long, default_value_t = 10)]
    timeout: u64,
    /// What every answer must contain.
    #[arg(long)]
    expect: Option<String>,
    /// Ask for so many seconds.
    #[arg(
        long,
        required_unless_present = "until_stdin_closes",
        conflicts_with = "until_stdin_closes"
    )]
    seconds: Option<u64>,
    /// Ask until the standard input ends.
    #[arg(long)]
    until_stdin_closes: bool,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let load = Load::start(Options {
        rate: args.rate,
        connections: args.connections,
        keep_alive: !args.no_keep_alive,
        timeout: Duration::from_secs(args.timeout),
        expect: args.expect,
        ..Options::new(args.url)
    })?;
    match args.seconds {
        Some(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
        None => {
            io::copy(&mut io::stdin().lock(), &mut io::sink())?;
        }
    }
    let report = load.stop();
    let mut out = io::stdout().lock();
    match args.output {
        Format::Text => write!(out, "{report}")?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
    }
    Ok(if report.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
