//! The end of a connection, as its protocols have it; with TLS that is a farewell.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// For so long, and so much, is read and thrown away.
const LONGEST: Duration = Duration::from_secs(1);
const MOST_BYTES: u64 = 1024 * 1024;

/// Ends a connection whose client may still be sending: reads on for a moment. Were the connection closed while something comes, its client
/// would get a reset, and in its place not the last answer (RFC 9112 9.6).
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let ending = async {
        stream.shutdown().await?;
        let mut rest = stream.take(MOST_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // It has its answer, or does not want it.
    let _ended = Box::pin(timeout(LONGEST, ending)).await;
}

/// Says that nothing more will be said. Whether the client takes it is not waited for.
pub(super) async fn farewell<S: AsyncWrite + Unpin>(stream: &mut S) {
    std::future::poll_fn(|cx| {
        let _told = Pin::new(&mut *stream).poll_shutdown(cx);
        Poll::Ready(())
    })
    .await;
}
