//! What a client must not do on a stream that is open, or has been: its end is told by a code.

use super::answers::scripted;
use super::{FLOW_CONTROL_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, window};
use crate::harness::frames::{
    ACK, DATA, END_STREAM, Frame, Frames, GOAWAY, PING, RST_STREAM, SETTINGS, frame, get, headers,
};

/// As large as frames may be.
const LARGE: usize = 16 * 1024;

/// A request whose body is this many large frames, without an end.
fn large(stream: u32, frames: usize) -> Vec<Frame> {
    let mut request = vec![headers(stream, 0, &[])];
    request.resize(1 + frames, frame(DATA, 0, stream, vec![b'x'; LARGE]));
    request
}

/// Each of these breaks a rule with its last frame, and tells the code for that; h2 says PROTOCOL_ERROR for STREAM_CLOSED.
fn stream_errors() -> Vec<(&'static str, Vec<Frame>, u32)> {
    let streams = |count: u32| (0..count).map(|number| 2 * number + 1);
    vec![
        // RFC 9113 5.1.
        (
            "DATA behind the end of its stream",
            vec![get(1), frame(DATA, END_STREAM, 1, [1])],
            STREAM_CLOSED,
        ),
        (
            "HEADERS behind the end of their stream",
            vec![get(1), headers(1, END_STREAM, &[])],
            STREAM_CLOSED,
        ),
        // 5.1.2: we have said that 128 may be open.
        (
            "one stream too many",
            streams(129).map(get).collect(),
            REFUSED_STREAM,
        ),
        // 6.9 and 6.9.1.
        (
            "WINDOW_UPDATE of a stream by nothing",
            vec![headers(1, 0, &[]), window(1, 0)],
            PROTOCOL_ERROR,
        ),
        (
            "a stream's window beyond the largest",
            vec![headers(1, 0, &[]), window(1, (1 << 31) - 1)],
            FLOW_CONTROL_ERROR,
        ),
        // The target takes no more than 64 KiB of all of them.
        (
            "DATA beyond its stream's window",
            large(1, 20),
            FLOW_CONTROL_ERROR,
        ),
        (
            "DATA beyond the connection's window, and within those of its streams",
            streams(24).flat_map(|stream| large(stream, 8)).collect(),
            FLOW_CONTROL_ERROR,
        ),
    ]
}

#[tokio::test]
async fn what_breaks_a_stream_ends_it_or_its_connection_with_its_code() {
    // The target never answers, and takes no more of a body than fits into its window.
    let (lb, _backend, _script) = scripted().await;
    let mut failures = Vec::new();
    for (name, frames, exact) in stream_errors() {
        let mut connection = Frames::open(lb.address).await;
        // Our windows are what we say from then on.
        connection.next_of(&[SETTINGS], name).await;
        connection.send(frame(SETTINGS, ACK, 0, []).bytes()).await;
        let bytes = frames.iter().map(Frame::bytes).collect::<Vec<_>>();
        connection.send(bytes.concat()).await;
        let end = connection.next_of(&[RST_STREAM, GOAWAY], name).await;
        let is_of_last =
            end.kind == GOAWAY || Some(end.stream) == frames.last().map(|it| it.stream);
        let is_it =
            end.error() == exact || (exact == STREAM_CLOSED && end.error() == PROTOCOL_ERROR);
        if !is_it || !is_of_last {
            failures.push((name, end));
            continue;
        }
        if end.kind == RST_STREAM {
            connection.send(frame(PING, 0, 0, [0; 8]).bytes()).await;
            connection.next_of(&[PING], name).await;
        }
    }
    assert_eq!(failures, []);
}
