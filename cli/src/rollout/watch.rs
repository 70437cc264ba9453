//! The loop behind a rollout's view: read, show, judge, and connect again when the server restarts.

use std::io::Write as _;
use std::time::{Duration, Instant};

use roadstead_client::Backoff;
use roadstead_client::proto::console::console_client::ConsoleClient;
use roadstead_client::proto::console::{ServiceView, WatchServiceRequest};
use tonic::{Status, Streaming};

use super::Rollout;
use super::lines::{self, Lines};
use super::live::Screen;
use super::progress::{self, Verdict};
use super::receipt::Receipt;
use crate::connection::{Connection, is_final};
use crate::error::Error;

/// How long the control plane may stay away before the watch gives up; the rollout does not need it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a server may take to open the stream and to send its first view.
const OPENING: Duration = Duration::from_secs(10);
/// How often the elapsed time is drawn again.
const FRAME: Duration = Duration::from_millis(100);

/// Where the view goes.
#[derive(Debug)]
pub(crate) enum Display {
    /// A terminal.
    Live(Box<Screen>),
    /// A pipe.
    Lines(Lines),
    /// Nowhere: only the receipt is wanted.
    Silent,
}

/// Why one stream of views ended.
enum End {
    Completed,
    Lost(Status),
}

/// Shows the rollout until it is at its end. The receipt is kept at what was seen last, also when this
/// fails.
///
/// # Errors
/// Fails when the rollout does, when the control plane stays away, and when the user interrupts.
pub(crate) async fn until_the_end(
    connection: &Connection,
    rollout: &Rollout,
    display: &mut Display,
    receipt: &mut Receipt,
) -> Result<(), Error> {
    tokio::select! {
        outcome = watch(connection, rollout, display, receipt) => outcome,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(anyhow::Error::from)?;
            Err(Error::Interrupted(format!(
                "stopped watching; the rollout of {} goes on: see `ctl service describe {}`",
                rollout.service, rollout.service
            )))
        }
    }
}

async fn watch(
    connection: &Connection,
    rollout: &Rollout,
    display: &mut Display,
    receipt: &mut Receipt,
) -> Result<(), Error> {
    let began = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut lost: Option<Instant> = None;
    loop {
        let status = match open(connection, rollout).await {
            Ok((first, stream)) => {
                if lost.take().is_some() {
                    backoff.reset();
                    display.note(rollout, "the control plane answers again", began.elapsed())?;
                }
                let watched = Watched {
                    rollout,
                    display,
                    receipt,
                    began,
                };
                match watched.read(first, stream).await? {
                    End::Completed => return Ok(()),
                    End::Lost(status) => status,
                }
            }
            Err(status) => status,
        };
        if is_final(&status) {
            return Err(status.into());
        }
        if lost.is_none() {
            let note = format!(
                "lost the control plane ({}); trying again",
                status.message()
            );
            display.note(rollout, &note, began.elapsed())?;
        }
        if lost.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(Error::NotReady(format!(
                "no word for {}; the rollout of {} goes on",
                humantime::format_duration(PATIENCE),
                rollout.service
            )));
        }
        connection.control_plane.learn(&status);
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Opens a stream and waits for its first view, which a server sends at once.
async fn open(
    connection: &Connection,
    rollout: &Rollout,
) -> Result<(ServiceView, Streaming<ServiceView>), Status> {
    let request = WatchServiceRequest {
        cluster: connection.cluster.clone(),
        service: Some(rollout.service.clone()),
    };
    let opening = async {
        let channel = connection.control_plane.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut stream = ConsoleClient::new(channel)
            .watch_service(request)
            .await?
            .into_inner();
        match stream.message().await? {
            Some(first) => Ok((first, stream)),
            None => Err(Status::unavailable("the server ended the view")),
        }
    };
    match tokio::time::timeout(OPENING, opening).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Status::unavailable("the server is silent")),
    }
}

/// What one stream of views goes into.
struct Watched<'a> {
    rollout: &'a Rollout,
    display: &'a mut Display,
    receipt: &'a mut Receipt,
    began: Instant,
}

impl Watched<'_> {
    async fn read(
        self,
        first: ServiceView,
        mut stream: Streaming<ServiceView>,
    ) -> Result<End, Error> {
        let rollout = self.rollout;
        let mut frame = tokio::time::interval(FRAME);
        let mut view = first;
        loop {
            self.receipt.update(rollout, &view);
            self.display.view(rollout, &view, self.began.elapsed())?;
            let service = view.service.clone().unwrap_or_default();
            match progress::judge(&service, &rollout.deployment) {
                Verdict::Going => {}
                Verdict::Completed => return Ok(End::Completed),
                Verdict::Failed(reason) => {
                    return Err(Error::Rollout {
                        service: rollout.service.clone(),
                        reason,
                    });
                }
            }
            view = loop {
                tokio::select! {
                    message = stream.message() => match message {
                        Ok(Some(view)) => break view,
                        Ok(None) => {
                            return Ok(End::Lost(Status::unavailable("the server ended the view")));
                        }
                        Err(status) => return Ok(End::Lost(status)),
                    },
                    _ = frame.tick() => self.display.tick(rollout, self.began.elapsed())?,
                }
            };
        }
    }
}

impl Display {
    fn view(
        &mut self,
        rollout: &Rollout,
        view: &ServiceView,
        elapsed: Duration,
    ) -> Result<(), Error> {
        match self {
            Self::Live(screen) => {
                screen.set_view(view.clone());
                write(&screen.redraw(rollout, elapsed))
            }
            Self::Lines(lines) => {
                for line in lines.after(view, &rollout.deployment, elapsed) {
                    write(&format!("{line}\n"))?;
                }
                Ok(())
            }
            Self::Silent => Ok(()),
        }
    }

    fn tick(&mut self, rollout: &Rollout, elapsed: Duration) -> Result<(), Error> {
        match self {
            Self::Live(screen) => write(&screen.redraw(rollout, elapsed)),
            Self::Lines(_) | Self::Silent => Ok(()),
        }
    }

    fn note(&mut self, rollout: &Rollout, note: &str, elapsed: Duration) -> Result<(), Error> {
        match self {
            Self::Live(screen) => {
                screen.set_note(note.to_owned());
                write(&screen.redraw(rollout, elapsed))
            }
            Self::Lines(_) => write(&format!("{}\n", lines::timed(elapsed, note))),
            Self::Silent => {
                tracing::warn!(service = rollout.service, "{note}");
                Ok(())
            }
        }
    }
}

fn write(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
