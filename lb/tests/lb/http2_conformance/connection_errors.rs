//! Frames that end the connection on which they come.

use super::{
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED,
    setting, window,
};
use crate::harness::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PADDED, PING,
    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, headers, literals,
};

/// Each of these sends frames after a sound beginning, and tells which error ends the connection for it; h2 says PROTOCOL_ERROR in
/// the place of most.
pub(super) fn connection_errors() -> Vec<(&'static str, Vec<Frame>, u32)> {
    let block = |bytes: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, bytes);
    vec![
        // RFC 9113 4.2 and 6: sizes, and streams that a frame can be of.
        (
            "a frame beyond the largest size",
            vec![frame(DATA, 0, 1, vec![0; 16_385])],
            FRAME_SIZE_ERROR,
        ),
        (
            "DATA of no stream",
            vec![frame(DATA, 0, 0, [1])],
            PROTOCOL_ERROR,
        ),
        (
            "DATA of a stream that was not opened",
            vec![frame(DATA, 0, 1, [1])],
            PROTOCOL_ERROR,
        ),
        (
            "DATA with more padding than payload",
            vec![headers(1, 0, &[]), frame(DATA, PADDED, 1, [9, 0])],
            PROTOCOL_ERROR,
        ),
        (
            "HEADERS of no stream",
            vec![frame(HEADERS, END_HEADERS, 0, literals(&[]))],
            PROTOCOL_ERROR,
        ),
        (
            "HEADERS of a stream that servers open",
            vec![get(2)],
            PROTOCOL_ERROR,
        ),
        (
            "HEADERS of an older stream",
            vec![get(5), get(3)],
            STREAM_CLOSED,
        ),
        (
            "HEADERS with more padding than payload",
            vec![frame(HEADERS, PADDED | END_HEADERS, 1, [9, 0])],
            PROTOCOL_ERROR,
        ),
        (
            "PRIORITY of no stream",
            vec![frame(PRIORITY, 0, 0, [0; 5])],
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM of no stream",
            vec![frame(RST_STREAM, 0, 0, [0; 4])],
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM of a stream that was not opened",
            vec![frame(RST_STREAM, 0, 1, [0; 4])],
            PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM of another size",
            vec![headers(1, 0, &[]), frame(RST_STREAM, 0, 1, [0; 3])],
            FRAME_SIZE_ERROR,
        ),
        (
            "SETTINGS of a stream",
            vec![frame(SETTINGS, 0, 1, [])],
            PROTOCOL_ERROR,
        ),
        (
            "SETTINGS of another size",
            vec![frame(SETTINGS, 0, 0, [0; 5])],
            FRAME_SIZE_ERROR,
        ),
        (
            "SETTINGS that acknowledge and set",
            vec![frame(SETTINGS, ACK, 0, [0; 6])],
            FRAME_SIZE_ERROR,
        ),
        (
            "ENABLE_PUSH that is neither",
            vec![setting(2, 2)],
            PROTOCOL_ERROR,
        ),
        (
            "an initial window beyond the largest",
            vec![setting(4, 1 << 31)],
            FLOW_CONTROL_ERROR,
        ),
        (
            "a frame size below the least",
            vec![setting(5, 16_383)],
            PROTOCOL_ERROR,
        ),
        (
            "PUSH_PROMISE of a client",
            vec![frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2])],
            PROTOCOL_ERROR,
        ),
        (
            "PING of a stream",
            vec![frame(PING, 0, 1, [0; 8])],
            PROTOCOL_ERROR,
        ),
        (
            "PING of another size",
            vec![frame(PING, 0, 0, [0; 7])],
            FRAME_SIZE_ERROR,
        ),
        (
            "GOAWAY of a stream",
            vec![frame(GOAWAY, 0, 1, [0; 8])],
            PROTOCOL_ERROR,
        ),
        (
            "WINDOW_UPDATE by nothing",
            vec![window(0, 0)],
            PROTOCOL_ERROR,
        ),
        (
            "WINDOW_UPDATE of another size",
            vec![frame(WINDOW_UPDATE, 0, 0, [0; 3])],
            FRAME_SIZE_ERROR,
        ),
        (
            "WINDOW_UPDATE of a stream that was not opened",
            vec![window(1, 1)],
            PROTOCOL_ERROR,
        ),
        (
            "a window beyond the largest",
            vec![window(0, (1 << 31) - 1)],
            FLOW_CONTROL_ERROR,
        ),
        // 4.3 and 6.10: a block of fields is one piece.
        (
            "CONTINUATION of nothing",
            vec![frame(CONTINUATION, END_HEADERS, 1, [])],
            PROTOCOL_ERROR,
        ),
        (
            "a frame in the midst of a block",
            vec![
                frame(HEADERS, END_STREAM, 1, literals(&[])),
                frame(PING, 0, 0, [0; 8]),
            ],
            PROTOCOL_ERROR,
        ),
        (
            "CONTINUATION of another stream",
            vec![
                frame(HEADERS, END_STREAM, 1, literals(&[])),
                frame(CONTINUATION, END_HEADERS, 3, []),
            ],
            PROTOCOL_ERROR,
        ),
        // RFC 7541.
        (
            "a field of no index",
            vec![block(&[0x80])],
            COMPRESSION_ERROR,
        ),
        (
            "a field beyond the tables",
            vec![block(&[0xff, 0x00])],
            COMPRESSION_ERROR,
        ),
        (
            "a name beyond the tables",
            vec![block(&[0x7f, 0x20, 1, b'a'])],
            COMPRESSION_ERROR,
        ),
        (
            "a table beyond its limit",
            vec![block(&[0x3f, 0xe2, 0x1f])],
            COMPRESSION_ERROR,
        ),
        (
            "a change of the table behind a field",
            vec![block(&[0x82, 0x20])],
            COMPRESSION_ERROR,
        ),
        (
            "an integer without an end",
            vec![block(&[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
            COMPRESSION_ERROR,
        ),
        (
            "a text that is cut off",
            vec![block(&[0x00, 0x05, b'a'])],
            COMPRESSION_ERROR,
        ),
        (
            "Huffman's end of the text inside it",
            vec![block(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a'])],
            COMPRESSION_ERROR,
        ),
        (
            "Huffman's padding of more than seven bits",
            vec![block(&[0x00, 0x82, 0x1f, 0xff, 0x01, b'a'])],
            COMPRESSION_ERROR,
        ),
        (
            "Huffman's padding with zeros",
            vec![block(&[0x00, 0x81, 0x18, 0x01, b'a'])],
            COMPRESSION_ERROR,
        ),
    ]
}
