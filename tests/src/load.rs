//! A load of a constant rate: N requests a second by the clock, whatever the server does.
//!
//! Request k is due at start + k / rate and taken by the first free connection; its latency counts from when it
//! was due. The connections are bounded, and kept alive unless each request shall have its own. Nothing is tried twice: a request is ok when its whole
//! 2xx answer arrived in time and says what was expected, and failed otherwise. The load runs on a thread of
//! its own, so that a test that blocks does not slow it.

mod histogram;
mod report;
#[cfg(test)]
mod tests;
mod timer;

use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use self::histogram::Histogram;
use self::report::Counts;
pub use self::report::{FailureAt, Latency, Report};
use self::timer::Timer;
use crate::eventually;
use crate::http::{Answer, Connection, Failure, Tls, Url};

const ANSWERS_DEADLINE: Duration = Duration::from_secs(30);

/// What to ask, how often, and what counts as an answer.
#[derive(Debug, Clone)]
pub struct Options {
    pub url: Url,
    /// How to shake hands; without it nobody does.
    pub tls: Option<Tls>,
    /// Requests a second.
    pub rate: NonZeroU32,
    /// At most so many connections, each with one request at a time.
    pub connections: NonZeroUsize,
    /// Whether a connection is used again; without it each request opens its own.
    pub keep_alive: bool,
    /// A request whose answer is not complete by then has failed.
    pub timeout: Duration,
    /// What the body must contain; any body is good when absent.
    pub expect: Option<String>,
}

impl Options {
    /// Returns 300 requests a second to `url` over 32 connections, each answered within 10 s.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            tls: None,
            rate: NonZeroU32::new(300).expect("300 is not zero"),
            connections: NonZeroUsize::new(32).expect("32 is not zero"),
            keep_alive: true,
            timeout: Duration::from_secs(10),
            expect: None,
        }
    }
}

/// A running load; stops when dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Begins to ask.
    ///
    /// # Errors
    /// Fails when the system has no thread or no event queue to give.
    pub fn start(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let timers: Vec<Timer> = {
            let _context = runtime.enter();
            let timers = (0..options.connections.get()).map(|_| Timer::new());
            timers.collect::<io::Result<_>>()?
        };
        let shared = Arc::new(Shared {
            options,
            started: Instant::now(),
            next: AtomicU64::new(0),
            counts: Mutex::default(),
            stop: CancellationToken::new(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || runtime.block_on(ask_until_stopped(for_thread, timers)))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Returns the counts up to now.
    #[must_use]
    pub fn so_far(&self) -> Report {
        self.shared.report()
    }

    /// Waits for so many more good answers: shows that the service serves at this moment.
    ///
    /// # Errors
    /// Fails when they have not come within 30 s.
    pub async fn wait_for_answers(&self, more: u64) -> anyhow::Result<()> {
        let enough = self.so_far().ok + more;
        eventually(ANSWERS_DEADLINE, "more answers", async || {
            Ok((self.so_far().ok >= enough).then_some(()))
        })
        .await
    }

    /// Asks for nothing more, waits for the answers under way (at most the timeout) and returns the counts.
    ///
    /// # Panics
    /// Panics if the load itself has panicked: its counts would be worth nothing.
    #[must_use]
    pub fn stop(mut self) -> Report {
        self.shared.stop.cancel();
        let thread = self.thread.take().expect("only stop takes the thread");
        thread.join().expect("the load runs to its end");
        self.shared.report()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

#[derive(Debug)]
struct Shared {
    options: Options,
    started: Instant,
    /// The next request of the schedule that no connection has taken yet.
    next: AtomicU64,
    counts: Mutex<Counts>,
    stop: CancellationToken,
}

impl Shared {
    fn take_due(&self) -> Instant {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let rate = u64::from(self.options.rate.get());
        let whole = Duration::from_secs(ticket / rate);
        let part = Duration::from_nanos(ticket % rate * 1_000_000_000 / rate);
        self.started + whole + part
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> Report {
        self.counts().report(self.started.elapsed())
    }
}

async fn ask_until_stopped(shared: Arc<Shared>, timers: Vec<Timer>) {
    let mut lanes = JoinSet::new();
    for timer in timers {
        lanes.spawn(lane(Arc::clone(&shared), timer));
    }
    lanes.join_all().await;
}

/// One connection's part of the load.
async fn lane(shared: Arc<Shared>, timer: Timer) {
    let mut connection = None;
    loop {
        let due = shared.take_due();
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            waited = timer.until(due) => waited.expect("the kernel takes any time"),
        }
        match ask(&shared, &mut connection).await {
            Ok(answer) => shared.counts().succeeded(&answer, due.elapsed()),
            Err(failure) => shared.counts().failed(&failure, shared.started.elapsed()),
        }
    }
}

async fn ask(shared: &Shared, connection: &mut Option<Connection>) -> Result<Answer, Failure> {
    let options = &shared.options;
    let exchange = async {
        // A connection known to be closed carries nothing, so nothing is lost by opening another.
        let mut idle = connection.take();
        if let Some(kept) = &mut idle
            && !kept.is_usable().await
        {
            shared.counts().reconnected();
            idle = None;
        }
        let (open, answer) = loop {
            let mut open = match (idle.take(), &options.tls) {
                (Some(kept), _) => kept,
                (None, Some(tls)) => Connection::open_in_tls(&options.url, tls).await?,
                (None, None) => Connection::open(&options.url).await?,
            };
            match open.get(&options.url).await {
                // The server has just said that it takes no more, and the client knows it.
                Err(Failure::Unsent(_)) => shared.counts().reconnected(),
                answered => break (open, answered?),
            }
        };
        *connection = options.keep_alive.then_some(open);
        Ok(answer)
    };
    let answer = timeout(options.timeout, exchange)
        .await
        .unwrap_or(Err(Failure::Timeout(options.timeout)))?;
    check(answer, options.expect.as_deref())
}

fn check(answer: Answer, expect: Option<&str>) -> Result<Answer, Failure> {
    if !answer.status.is_success() {
        return Err(Failure::Status(answer.status));
    }
    match expect {
        Some(text) if !answer.text().contains(text) => Err(Failure::Body(answer.text())),
        Some(_) | None => Ok(answer),
    }
}
