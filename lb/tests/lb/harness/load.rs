//! Clients that ask as fast as they can, each on one connection, and count what they get.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::http2::post;
use super::{Connection, Http2, within};

/// Requests of one client of HTTP/2.
const AT_ONCE: usize = 4;

/// How many answers there were of each status.
type Answers = BTreeMap<u16, u64>;

pub(crate) struct Load {
    answers: Arc<watch::Sender<Answers>>,
    clients: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Starts so many clients, which use these methods in turn; those that are not GET have a body, and targets echo it.
    pub(crate) fn start(lb: SocketAddr, clients: usize, methods: &'static [&'static str]) -> Self {
        let answers = Arc::new(watch::Sender::default());
        let stop = watch::Sender::new(false);
        let one = || work(lb, methods, Arc::clone(&answers), stop.subscribe());
        let clients = std::iter::repeat_with(one).take(clients).collect();
        Self {
            answers,
            clients,
            stop,
        }
    }

    /// Starts so many clients, each of which has several requests at once on one connection of HTTP/2; targets echo their bodies.
    pub(crate) fn start_over_http2(lb: SocketAddr, clients: usize) -> Self {
        let answers = Arc::new(watch::Sender::default());
        let stop = watch::Sender::new(false);
        let one = || work_over_http2(lb, Arc::clone(&answers), stop.subscribe());
        let clients = std::iter::repeat_with(one).take(clients).collect();
        Self {
            answers,
            clients,
            stop,
        }
    }

    /// Waits until there are so many more answers.
    pub(crate) async fn until_more(&self, number: u64) {
        let made = |answers: &Answers| answers.values().sum::<u64>();
        let enough = made(&self.answers.borrow()) + number;
        let mut seen = self.answers.subscribe();
        within(seen.wait_for(|answers| made(answers) >= enough))
            .await
            .unwrap();
    }

    pub(crate) fn answers(&self) -> Answers {
        self.answers.borrow().clone()
    }

    /// Lets every client end its last request; returns what they have got.
    pub(crate) async fn end(mut self) -> Answers {
        self.stop.send_replace(true);
        while let Some(client) = within(self.clients.join_next()).await {
            client.unwrap();
        }
        self.answers()
    }
}

async fn work(
    lb: SocketAddr,
    methods: &[&str],
    answers: Arc<watch::Sender<Answers>>,
    stop: watch::Receiver<bool>,
) {
    let mut connection = Connection::open(lb).await;
    for method in methods.iter().cycle() {
        if *stop.borrow() {
            return;
        }
        let body = if *method == "GET" { "" } else { "body" };
        let length = body.len();
        connection
            .send(format!(
                "{method} / HTTP/1.1\r\nHost: lb\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        let answer = connection.answer().await;
        if answer.status == 200 {
            assert_eq!(answer.text(), body, "{method}");
        }
        answers.send_modify(|answers| *answers.entry(answer.status).or_default() += 1);
    }
}

async fn work_over_http2(
    lb: SocketAddr,
    answers: Arc<watch::Sender<Answers>>,
    stop: watch::Receiver<bool>,
) {
    let mut connection = Http2::connect(lb).await;
    while !*stop.borrow() {
        let mut asked = Vec::with_capacity(AT_ONCE);
        for number in 0..AT_ONCE {
            asked.push(connection.send(post("/", format!("body {number}"))));
        }
        for (number, answer) in asked.into_iter().enumerate() {
            let answer = within(answer).await.unwrap();
            let status = answer.status().as_u16();
            let body = within(answer.into_body().collect()).await.unwrap();
            if status == 200 {
                assert_eq!(body.to_bytes(), format!("body {number}"));
            }
            answers.send_modify(|answers| *answers.entry(status).or_default() += 1);
        }
    }
}
