//! What lasts: an answer, a call of gRPC, a WebSocket and a connection that is passed on, which go on for as long as the test wants.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TE};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use roadstead_tests::web::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::alone::{Alone, DEADLINE};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// Stands before each message of gRPC, of one byte in this case.
const PREFIX: [u8; 5] = [0, 0, 0, 0, 1];

/// One of each kind, through the same load balancer. Whatever is read may only be what was said last.
pub(crate) struct Conversations {
    /// What the targets say; they end when it does.
    words: watch::Sender<u8>,
    answer: Incoming,
    call: Incoming,
    chat: WebSocketStream<TcpStream>,
    connection: TcpStream,
}

impl Conversations {
    /// Starts a load balancer with these settings, and begins one of each kind.
    pub(crate) async fn start(name: &str, settings: &str) -> anyhow::Result<(Alone, Self)> {
        let (http, tcp) = (free_port()?, free_port()?);
        let (words, said) = watch::channel(0);
        let told = serve(move |stream| tell(stream, said.clone())).await?;
        let (chat, echo) = (serve(chat).await?, serve(echo).await?);
        let table = format!(
            r#"health_check = false

[[listener]]
port = {http}
[[listener.rule]]
path = ["/chat"]
forward = "chat"
[[listener.rule]]
path = ["/grpc.health.v1.Health/*"]
forward = "calls"
[[listener.rule]]
forward = "answers"

[[listener]]
port = {tcp}
protocol = "TCP"
[[listener.rule]]
forward = "connections"
"#
        );
        let groups = [
            ("answers", told, ""),
            ("calls", told, "protocol_version = \"GRPC\"\n"),
            ("chat", chat, ""),
            ("connections", echo, "protocol = \"TCP\"\n"),
        ];
        let groups = groups.map(|(name, target, speaks)| {
            format!(
                "[[target_group]]\nname = \"{name}\"\ntargets = [\"{target}\"]\n{speaks}health_check = false\n"
            )
        });
        let alone = Alone::start_with(name, settings, &(table + &groups.concat())).await?;
        let begun = async {
            anyhow::Ok(Self {
                words,
                answer: ask(http).await?,
                call: call(http).await?,
                chat: client_async(format!("ws://127.0.0.1:{http}/chat"), connect(http).await?)
                    .await?
                    .0,
                connection: connect(tcp).await?,
            })
        };
        let mut begun = timeout(DEADLINE, begun).await??;
        // By now each is with its target.
        begun.go_on().await?;
        Ok((alone, begun))
    }

    /// Says something in each, which must be heard.
    pub(crate) async fn go_on(&mut self) -> anyhow::Result<()> {
        let word = *self.words.borrow() + 1;
        self.words.send_replace(word);
        let heard = async {
            for (body, of) in [(&mut self.answer, "answer"), (&mut self.call, "call")] {
                let frame = body
                    .frame()
                    .await
                    .with_context(|| format!("end of the {of}"))??;
                let data = frame.into_data().ok().context("trailers")?;
                ensure!(
                    data == message(word),
                    "the {of} has {data:?} instead of {word}"
                );
            }
            self.chat.send(Message::binary(vec![word])).await?;
            let said = self.chat.next().await.context("end of the WebSocket")??;
            ensure!(
                said.into_data() == vec![word],
                "the WebSocket has another word"
            );
            self.connection.write_u8(word).await?;
            let echo = self.connection.read_u8().await?;
            ensure!(echo == word, "the connection has {echo} instead of {word}");
            anyhow::Ok(())
        };
        timeout(DEADLINE, heard).await?
    }

    /// Ends each by its own rules, which both sides must keep to.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.words);
        let ended = async {
            ensure!(self.answer.frame().await.transpose()?.is_none());
            let last = self.call.frame().await.context("no status")??;
            let status = last
                .trailers_ref()
                .and_then(|status| status.get("grpc-status"));
            ensure!(
                status.is_some_and(|status| status == "0"),
                "the call ends with {last:?}"
            );
            self.chat.close(None).await?;
            while let Some(message) = self.chat.next().await {
                ensure!(message?.is_close());
            }
            self.connection.shutdown().await?;
            ensure!(self.connection.read(&mut [0]).await? == 0);
            anyhow::Ok(())
        };
        timeout(DEADLINE, ended).await?
    }

    /// Waits until each is cut off, which none may take for its end.
    pub(crate) async fn are_cut(mut self) -> anyhow::Result<()> {
        let cut = async {
            for body in [&mut self.answer, &mut self.call] {
                let next = body.frame().await;
                ensure!(matches!(next, Some(Err(_))), "{next:?}");
            }
            let next = self.chat.next().await;
            ensure!(matches!(next, Some(Err(_))), "{next:?}");
            let next = self.connection.read(&mut [0]).await;
            ensure!(next.is_err(), "{next:?}");
            Ok(())
        };
        timeout(DEADLINE, cut).await?
    }
}

fn message(word: u8) -> Bytes {
    PREFIX.into_iter().chain([word]).collect()
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).await
}

/// Returns the body of an answer of HTTP/1.1.
async fn ask(port: u16) -> anyhow::Result<Incoming> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(port).await?)).await?;
    tokio::spawn(connection);
    let request = Request::get("/")
        .header(HOST, "lb")
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.into_body())
}

/// Returns what a call says that does not end.
async fn call(port: u16) -> anyhow::Result<Incoming> {
    let stream = TokioIo::new(connect(port).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    let request = Request::post(format!(
        "http://127.0.0.1:{port}/grpc.health.v1.Health/Watch"
    ))
    .header(CONTENT_TYPE, GRPC)
    .header(TE, "trailers")
    .body(Full::new(Bytes::from_static(&[0; 5])))?;
    Ok(sender.send_request(request).await?.into_body())
}

/// Starts a target that does this with each connection.
async fn serve<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
    with: impl Fn(TcpStream) -> F + Send + 'static,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(with(stream));
        }
    });
    Ok(address)
}

/// Answers each request, in HTTP/1.1 or HTTP/2, with every word from then on.
async fn tell(stream: TcpStream, words: watch::Receiver<u8>) -> anyhow::Result<()> {
    let service = service_fn(move |_request| {
        let response = told(words.clone());
        async move { Ok::<_, Infallible>(response) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection(TokioIo::new(stream), service);
    served.await.map_err(anyhow::Error::from_boxed)
}

fn told(words: watch::Receiver<u8>) -> Response<BoxBody<Bytes, Infallible>> {
    let said = stream::unfold(words, async |mut words| {
        words.changed().await.ok()?;
        let word = *words.borrow_and_update();
        Some((Frame::data(message(word)), words))
    });
    let status = HeaderMap::from_iter([("grpc-status".parse().expect("it is a name"), 0.into())]);
    let frames = said.chain(stream::iter([Frame::trailers(status)]));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames.map(Ok))));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

async fn chat(stream: TcpStream) -> anyhow::Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if !message.is_close() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn echo(mut stream: TcpStream) -> anyhow::Result<()> {
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    Ok(())
}
