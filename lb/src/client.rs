//! One connection of a client: drives it, and ends it when it is time.
//!
//! hyper speaks HTTP; this loop adds the clock and the alarm. Both are kept off the path of a
//! request: one timer for each connection, set again only when it fires, and one atomic read.

mod link;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use tracing::debug;

use crate::io::Metered;
use crate::proxy;
use crate::shared::{Door, Shared};
use crate::upstream::Forwarded;
use link::Due;
pub(crate) use link::{Interrupted, Link};

/// A client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) door: Arc<Door>,
    pub(crate) address: IpAddr,
    /// The address as `X-Forwarded-For` has it.
    pub(crate) forwarded_for: HeaderValue,
    /// The listener's port as `X-Forwarded-Port` has it.
    pub(crate) forwarded_port: HeaderValue,
    pub(crate) link: Link,
}

impl Client {
    pub(crate) fn new(
        shared: Arc<Shared>,
        worker: usize,
        door: Arc<Door>,
        address: IpAddr,
    ) -> Self {
        // A client of a dual-stack listener is known to its target by its IPv4 address.
        let address = address.to_canonical();
        let forwarded_for = HeaderValue::try_from(address.to_string())
            .expect("an address is written in visible ASCII characters");
        let link = Link::new(shared.config.client_timeout, shared.config.target_timeout);
        Self {
            forwarded_port: HeaderValue::from(door.port),
            shared,
            worker,
            door,
            address,
            forwarded_for,
            link,
        }
    }

    /// Returns what its targets are told about it.
    pub(crate) fn forwarded(&self) -> Forwarded<'_> {
        Forwarded {
            address: &self.forwarded_for,
            port: &self.forwarded_port,
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(client: Arc<Client>, stream: TcpStream) {
    let service = {
        let client = Arc::clone(&client);
        service_fn(move |request| proxy::answer(Arc::clone(&client), request))
    };
    let io = TokioIo::new(Metered::new(stream, Arc::clone(&client)));
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(client.shared.config.max_header_bytes)
        .serve_connection(io, service);
    if let Err(error) = drive(&client, connection).await {
        // Clients hang up and send nonsense all the time: nothing that an operator could act on.
        debug!(client = %client.address, error = &error as &dyn std::error::Error, "client connection broke");
    }
}

async fn drive<S>(
    client: &Client,
    connection: http1::Connection<TokioIo<Metered>, S>,
) -> hyper::Result<()>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = proxy::ResponseBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let alarm = &client.shared.alarm;
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(client.link.first_look().into()));
    let mut ring = pin!(alarm.listen());
    // Whatever was rung before this connection existed is looked at on the first pass.
    let mut heard = None;
    let mut alarmed = false;
    let mut timer_set = false;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if heard != Some(alarm.times()) {
                ring.set(alarm.listen());
                heard = Some(alarm.times());
                let _registered = ring.as_mut().poll(cx);
                if client.door.closing.is_cancelled() {
                    connection.as_mut().graceful_shutdown();
                }
                // The request sees for itself that it is cut, and answers if it still can.
                alarmed = true;
                continue;
            }
            if std::mem::take(&mut alarmed) && client.link.is_cut() {
                // It cannot: its client does not read.
                return Poll::Ready(Ok(()));
            }
            // Polled only to be set: a look at it is all that a request should cost.
            if !timer.is_elapsed() && std::mem::replace(&mut timer_set, true) {
                return Poll::Pending;
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            timer_set = false;
            match client.link.due(Instant::now()) {
                Due::At(moment) | Due::Expired(moment) => timer.as_mut().reset(moment.into()),
                Due::Overdue => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}
