//! The requests that are under way on one HTTP/2 connection.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::EXPECT;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tracing::debug;

use super::answer::{self, Broken, Sending};
use super::body::Http2Body;
use crate::client::Client;
use crate::client::link::Due;
use crate::hop;
use crate::lock::lock;
use crate::proxy::{self, Reply};

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
pub(super) struct Stream {
    client: Arc<Client>,
    /// `None` when it is answered: what is interim comes before.
    respond: Mutex<Option<SendResponse<Bytes>>>,
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

    /// Makes a task of a request.
    pub(super) fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let stream = Arc::new(Stream {
            client: Arc::new(self.connection.stream()),
            respond: Mutex::new(Some(respond)),
            state: Mutex::default(),
        });
        self.connection.link.is_used();
        let number = self.remember(&stream);
        let under_way = UnderWay {
            streams: self.clone(),
            number,
        };
        tokio::spawn(async move {
            let _under_way = under_way;
            let (mut head, body) = request.into_parts();
            hop::trim(&mut head.headers);
            let mut expectations = head.headers.get_all(EXPECT).iter();
            let waits = expectations.any(|value| hop::expects_continue(value.as_bytes()));
            let waits = waits.then(|| Arc::clone(&stream));
            let body = Http2Body::new(body, &head.headers, waits);
            let client = Arc::clone(&stream.client);
            let answering = proxy::answer(client, Box::new(head), body.into());
            if let Err(error) = stream.run(answering).await {
                debug!(client = %stream.client.address, error = &error as &dyn std::error::Error, "an answer was not sent");
            }
        });
    }

    fn remember(&self, stream: &Arc<Stream>) -> u64 {
        let mut open = lock(&self.open);
        open.begun += 1;
        let number = open.begun;
        open.streams.insert(number, Arc::clone(stream));
        number
    }

    fn forget(&self, number: u64) {
        let mut open = lock(&self.open);
        open.streams.remove(&number);
        if open.streams.is_empty() {
            // From now on it is the client that is waited for.
            self.connection.link.end(Instant::now());
        }
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
    /// Answers a request, unless it must end before.
    async fn run(&self, answering: impl Future<Output = Reply>) -> Result<(), Broken> {
        let reply = {
            let mut answering = pin!(answering);
            let replying = std::future::poll_fn(|cx| {
                let answered = answering.as_mut().poll(cx);
                for interim in self.client.link.take_interim() {
                    self.inform(answer::interim(interim));
                }
                match answered {
                    Poll::Ready(reply) => Poll::Ready(Ok(reply)),
                    // Nobody waits for an answer to a request that was taken back.
                    Poll::Pending => self.poll_reset(cx).map(Err),
                }
            });
            match self.unless_told(replying).await {
                Some(reply) => reply?,
                None => return Ok(()),
            }
        };
        let Reply { head, body, .. } = reply;
        let head = answer::head(*head, &body);
        let is_end = body.is_end_stream();
        let respond = lock(&self.respond).take();
        let stream = respond.ok_or(Broken::Ended)?.send_response(head, is_end)?;
        if is_end {
            return Ok(());
        }
        let mut sending = Sending::new(Arc::clone(&self.client), stream, body);
        let sent = self.unless_told(std::future::poll_fn(|cx| sending.poll(cx)));
        sent.await.unwrap_or(Ok(()))
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Broken> {
        match lock(&self.respond).as_mut() {
            Some(respond) => respond
                .poll_reset(cx)
                .map(|reset| reset.map_or_else(Broken::from, Broken::Reset)),
            None => Poll::Pending,
        }
    }

    /// Drives one part of a request to its end; `None` when it must end before.
    async fn unless_told<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            match self.hear(cx) {
                // What it sees when it looks up it has seen just now; it cannot answer, for its client does not read.
                Some(Told::LookUp) if self.client.link.is_cut() => Poll::Ready(None),
                Some(Told::End) => Poll::Ready(None),
                Some(Told::LookUp) | None => Poll::Pending,
            }
        })
        .await
    }

    /// Tells a client that waits for it to send the body of its request.
    pub(super) fn go_on(&self) {
        let mut interim = Response::new(());
        *interim.status_mut() = StatusCode::CONTINUE;
        self.inform(interim);
    }

    fn inform(&self, interim: Response<()>) {
        let mut respond = lock(&self.respond);
        let Some(respond) = respond.as_mut() else {
            return;
        };
        if let Err(error) = respond.send_informational(interim) {
            debug!(client = %self.client.address, error = &error as &dyn std::error::Error, "an interim answer was not sent");
        }
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

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stream")
            .field("client", &self.client.address)
            .finish_non_exhaustive()
    }
}
