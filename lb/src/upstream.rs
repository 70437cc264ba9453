//! One connection to a target.
//!
//! hyper would have the connection driven by a task of its own. Here the request's own task drives
//! it, which saves a wake-up and a switch for each step of the exchange; a connection in the pool is
//! driven by nobody, and what has happened to it meanwhile is seen when it is next used.

mod muffler;
mod pool;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use std::{fmt, io};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;

use crate::io::{Meter, Metered};
use muffler::Muffler;
pub(crate) use pool::Pool;

/// What a request carries: nothing, or what the client sends.
pub(crate) type RequestBody = Either<Empty<Bytes>, Incoming>;

type Driver = Connection<TokioIo<Metered<Arc<Traffic>>>, RequestBody>;

/// Whether a byte of the answer has come.
#[derive(Debug, Default)]
struct Traffic {
    answered: AtomicBool,
}

impl Meter for Arc<Traffic> {
    fn read(&self) {
        self.answered.store(true, Relaxed);
    }

    fn written(&self) {}
}

/// Why there is no answer.
pub(crate) struct SendFailure {
    pub(crate) error: hyper::Error,
    /// The request, when no byte of it was sent.
    pub(crate) unsent: Option<Request<RequestBody>>,
    /// Whether the target had begun to answer.
    pub(crate) answered: bool,
}

/// A connection to a target, and all that it takes to drive it.
pub(crate) struct Wire {
    sender: SendRequest<RequestBody>,
    /// `None` once the connection is over.
    driver: Option<Box<Driver>>,
    muffler: Arc<Muffler>,
    /// What the driver wakes: the muffler.
    waker: Waker,
    traffic: Arc<Traffic>,
    /// When it was put into the pool; `None` for a new connection.
    unused_since: Option<Instant>,
}

impl Wire {
    /// Connects to a target; the caller sets the deadline.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let traffic = Arc::new(Traffic::default());
        let io = TokioIo::new(Metered::new(stream, Arc::clone(&traffic)));
        let (sender, driver) = handshake(io).await.map_err(io::Error::other)?;
        let muffler = Arc::new(Muffler::default());
        Ok(Self {
            sender,
            driver: Some(Box::new(driver)),
            waker: Waker::from(Arc::clone(&muffler)),
            muffler,
            traffic,
            unused_since: None,
        })
    }

    /// Returns whether an exchange has been on this connection before.
    pub(crate) fn is_reused(&self) -> bool {
        self.unused_since.is_some()
    }

    /// Returns whether the last exchange is over in both directions, and the next may begin.
    pub(crate) fn is_idle(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request; returns the head of the answer. The body comes as the wire is driven on.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Box<SendFailure>> {
        self.traffic.answered.store(false, Relaxed);
        let mut answer = pin!(self.sender.try_send_request(request));
        let answered = std::future::poll_fn(|cx| {
            self.muffler.attach(cx);
            drive(&mut self.driver, &self.waker);
            // The answer comes out of the driver or not at all: nobody else could wake us for it.
            answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        });
        answered.await.map_err(|mut failure| {
            Box::new(SendFailure {
                unsent: failure.take_message(),
                error: failure.into_error(),
                answered: self.traffic.answered.load(Relaxed),
            })
        })
    }

    /// Moves bytes in both directions, as far as they move now.
    pub(crate) fn drive(&mut self, cx: &Context<'_>) {
        self.muffler.attach(cx);
        drive(&mut self.driver, &self.waker);
    }

    /// Returns the next frame of the answer's body, and drives the connection if there is none yet.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = self
            .muffler
            .quietly(|| Pin::new(&mut *incoming).poll_frame(cx));
        if polled.is_ready() {
            return polled;
        }
        self.drive(cx);
        self.muffler.quietly(|| Pin::new(incoming).poll_frame(cx))
    }
}

fn drive(driver: &mut Option<Box<Driver>>, waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    let over = driver
        .as_mut()
        .map(|driver| Pin::new(driver).poll(&mut cx))
        // An error reaches the waiting request by itself; an idle connection has none to tell.
        .is_some_and(|polled| matches!(polled, Poll::Ready(Ok(()) | Err(_))));
    if over {
        // Dropping it hands back a request that was never begun.
        *driver = None;
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wire")
            .field("open", &self.driver.is_some())
            .field("unused_since", &self.unused_since)
            .finish_non_exhaustive()
    }
}
