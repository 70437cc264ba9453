//! The requests that are under way on one HTTP/2 connection.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use hyper::rt::Executor;

use crate::client::Client;
use crate::client::link::Due;
use crate::lock::lock;

tokio::task_local! {
    /// The client of the request whose task this is.
    static CURRENT: Arc<Client>;
}

/// Returns the client of the request whose task this is.
pub(super) fn current() -> Arc<Client> {
    CURRENT.get()
}

/// Makes a task of each request, and remembers them. All of them run on the connection's thread.
#[derive(Clone)]
pub(super) struct Streams {
    connection: Arc<Client>,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    begun: u64,
    streams: BTreeMap<u64, Arc<Stream>>,
}

/// One request, from its head to the last byte of its answer.
struct Stream {
    client: Arc<Client>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    told: Option<Told>,
    waker: Option<Waker>,
}

/// What a request is told by its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It may be cut, or its time may be over: it sees that for itself, and answers if it still can.
    LookUp,
    End,
}

impl Streams {
    pub(super) fn new(connection: Arc<Client>) -> Self {
        Self {
            connection,
            open: Arc::default(),
        }
    }

    /// Makes every request look up.
    pub(super) fn look_up(&self) {
        for stream in lock(&self.open).streams.values() {
            stream.tell(Told::LookUp);
        }
    }

    /// Ends every request: their connection is gone.
    pub(super) fn end(&self) {
        for stream in lock(&self.open).streams.values() {
            stream.tell(Told::End);
        }
    }

    /// Tells those whose time is over, and returns when to look again; `None` when there is no request.
    pub(super) fn due(&self, now: Instant) -> Option<Due> {
        let open = lock(&self.open);
        let next = open
            .streams
            .values()
            .map(|stream| match stream.client.link.due(now) {
                Due::At(moment) => moment,
                Due::Expired(moment) => {
                    stream.tell(Told::LookUp);
                    moment
                }
                Due::Overdue => {
                    stream.tell(Told::End);
                    stream.client.link.latest(now)
                }
            });
        next.min().map(Due::At)
    }

    fn begin(&self) -> (u64, Arc<Stream>) {
        let stream = Arc::new(Stream {
            client: Arc::new(self.connection.stream()),
            state: Mutex::default(),
        });
        self.connection.link.is_used();
        let mut open = lock(&self.open);
        open.begun += 1;
        let number = open.begun;
        open.streams.insert(number, Arc::clone(&stream));
        (number, stream)
    }

    fn forget(&self, number: u64) {
        let mut open = lock(&self.open);
        open.streams.remove(&number);
        if open.streams.is_empty() {
            // From now on it is the client that is waited for.
            self.connection.link.end();
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let (number, stream) = self.begin();
        let streams = self.clone();
        let client = Arc::clone(&stream.client);
        tokio::spawn(CURRENT.scope(client, async move {
            let _under_way = UnderWay { streams, number };
            stream.run(future).await;
        }));
    }
}

/// Forgets a request when its task ends, however that comes.
struct UnderWay {
    streams: Streams,
    number: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.streams.forget(self.number);
    }
}

impl Stream {
    /// Drives a request until it has ended, or must end.
    async fn run<F: Future<Output = ()>>(&self, future: F) {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            if future.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match self.hear(cx) {
                // What it sees when it looks up it has seen just now; it cannot answer, for its client does not read.
                Some(Told::LookUp) if self.client.link.is_cut() => Poll::Ready(()),
                Some(Told::End) => Poll::Ready(()),
                Some(Told::LookUp) | None => Poll::Pending,
            }
        })
        .await;
    }

    fn tell(&self, what: Told) {
        let mut state = lock(&self.state);
        if state.told != Some(Told::End) {
            state.told = Some(what);
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Returns what this request was told since it was last asked; the task is woken when it is told more.
    fn hear(&self, cx: &Context<'_>) -> Option<Told> {
        let mut state = lock(&self.state);
        match &state.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            Some(_) | None => state.waker = Some(cx.waker().clone()),
        }
        state.told.take()
    }
}
