//! gRPC through the load balancer, in all four shapes, with tonic on both sides.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use hyper::body::Incoming;
use roadstead_proto::lb::CodeRange;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::server;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::harness::{Backend, Http2, Lb, get, http2, target, within};

type Codec = ProstCodec<CodeRange, CodeRange>;
type Answers = Pin<Box<dyn Stream<Item = Result<CodeRange, Status>> + Send>>;

fn number(from: u32) -> CodeRange {
    CodeRange { from, to: 0 }
}

/// Answers with the sum of what it is sent, or counts up to it.
#[derive(Clone)]
struct Sums;

impl server::UnaryService<CodeRange> for Sums {
    type Response = CodeRange;
    type Future = Pin<Box<dyn Future<Output = Result<Response<CodeRange>, Status>> + Send>>;

    fn call(&mut self, request: Request<CodeRange>) -> Self::Future {
        Box::pin(async move {
            match request.into_inner().from {
                0 => Err(Status::failed_precondition("nothing to add")),
                known => Ok(Response::new(number(known + 1))),
            }
        })
    }
}

impl server::ServerStreamingService<CodeRange> for Sums {
    type Response = CodeRange;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<CodeRange>) -> Self::Future {
        Box::pin(async move {
            let numbers = (1..=request.into_inner().from).map(|one| Ok(number(one)));
            let answers: Answers = Box::pin(futures_util::stream::iter(numbers));
            Ok(Response::new(answers))
        })
    }
}

impl server::ClientStreamingService<CodeRange> for Sums {
    type Response = CodeRange;
    type Future = Pin<Box<dyn Future<Output = Result<Response<CodeRange>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<CodeRange>>) -> Self::Future {
        Box::pin(async move {
            let mut numbers = request.into_inner();
            let mut sum = 0;
            while let Some(one) = numbers.message().await? {
                sum += one.from;
            }
            Ok(Response::new(number(sum)))
        })
    }
}

impl server::StreamingService<CodeRange> for Sums {
    type Response = CodeRange;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<CodeRange>>) -> Self::Future {
        Box::pin(async move {
            let numbers = request.into_inner();
            let answers: Answers = Box::pin(numbers.map(|one| Ok(number(one?.from * 2))));
            Ok(Response::new(answers))
        })
    }
}

async fn serve(request: hyper::Request<Incoming>) -> hyper::Response<tonic::body::Body> {
    let mut grpc = server::Grpc::new(Codec::default());
    match request.uri().path() {
        "/sums/Unary" => grpc.unary(Sums, request).await,
        "/sums/Down" => grpc.server_streaming(Sums, request).await,
        "/sums/Up" => grpc.client_streaming(Sums, request).await,
        "/sums/Both" => grpc.streaming(Sums, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    }
}

async fn start() -> (Lb, Backend, Grpc<Channel>) {
    start_as("GRPC").await
}

async fn start_as(version: &str) -> (Lb, Backend, Grpc<Channel>) {
    let backend = Backend::http2(usize::MAX, serve).await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| {
        table.target_groups[0].protocol_version = version.to_owned();
    });
    lb.until(|report| report.table_revision == revision).await;
    let endpoint = Endpoint::try_from(format!("http://{}", lb.address)).unwrap();
    let channel = within(endpoint.connect()).await.unwrap();
    (lb, backend, Grpc::new(channel))
}

fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

async fn ready(client: &mut Grpc<Channel>) {
    within(client.ready()).await.unwrap();
}

#[tokio::test]
async fn one_message_for_one_and_a_status_in_the_trailers() {
    let (mut lb, _backend, mut client) = start().await;
    ready(&mut client).await;
    let request = Request::new(number(1));
    let call = client.unary(request, path("/sums/Unary"), Codec::default());
    assert_eq!(within(call).await.unwrap().into_inner(), number(2));
    ready(&mut client).await;
    let request = Request::new(number(0));
    let call = client.unary(request, path("/sums/Unary"), Codec::default());
    let status = within(call).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "nothing to add");
    lb.until_counts([2, 0, 0, 0]).await;
}

#[tokio::test]
async fn many_messages_for_one() {
    let (_lb, _backend, mut client) = start().await;
    ready(&mut client).await;
    let request = Request::new(number(1000));
    let call = client.server_streaming(request, path("/sums/Down"), Codec::default());
    let answers = within(call).await.unwrap().into_inner();
    let numbers = within(answers.map(|one| one.unwrap().from).collect::<Vec<_>>()).await;
    assert!(numbers.into_iter().eq(1..=1000));
}

#[tokio::test]
async fn one_message_for_many() {
    let (_lb, _backend, mut client) = start().await;
    ready(&mut client).await;
    let numbers = Request::new(futures_util::stream::iter((1..=1000).map(number)));
    let call = client.client_streaming(numbers, path("/sums/Up"), Codec::default());
    assert_eq!(within(call).await.unwrap().into_inner(), number(500_500));
}

/// Each answer is waited for before the next message is sent.
#[tokio::test]
async fn many_messages_for_many_in_turns() {
    let (_lb, _backend, mut client) = start().await;
    ready(&mut client).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let call = client.streaming(Request::new(messages), path("/sums/Both"), Codec::default());
    let mut answers = within(call).await.unwrap().into_inner();
    for one in 1..=20 {
        sender.send(number(one)).await.unwrap();
        let answer = within(answers.message()).await.unwrap();
        assert_eq!(answer, Some(number(2 * one)));
    }
    drop(sender);
    assert_eq!(within(answers.message()).await.unwrap(), None);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_told_by_the_target() {
    let (_lb, _backend, mut client) = start().await;
    ready(&mut client).await;
    let call = client.unary(
        Request::new(number(1)),
        path("/sums/None"),
        Codec::default(),
    );
    let status = within(call).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn targets_of_http_1_1_get_no_calls() {
    let (_lb, _backend, mut client) = start_as("HTTP1").await;
    ready(&mut client).await;
    let request = Request::new(number(1));
    let call = client.unary(request, path("/sums/Unary"), Codec::default());
    let status = within(call).await.unwrap_err();
    assert!(status.to_string().contains("464"), "{status:?}");
}

#[tokio::test]
async fn targets_of_grpc_get_only_what_may_be_a_call() {
    let (lb, _backend, mut client) = start().await;
    assert_eq!(get(lb.address, "/").await.status, 464);
    let mut connection = lb.connect().await;
    let answer = connection.post("/sums/Unary", "in HTTP/1.1").await;
    assert_eq!(answer.status, 464);
    assert_eq!(
        answer.text(),
        "464: the target group takes another protocol\n"
    );
    let mut connection = Http2::connect(lb.address).await;
    assert_eq!(connection.get("/sums/Unary").await.0, 464);
    // As with ALB: what it is a POST of is the target's affair.
    let answer = connection.send(http2::post("/sums/Unary", "no message"));
    assert_ne!(within(answer).await.unwrap().status(), 464);

    ready(&mut client).await;
    let request = Request::new(number(1));
    let call = client.unary(request, path("/sums/Unary"), Codec::default());
    assert_eq!(within(call).await.unwrap().into_inner(), number(2));
}
