//! A peer that connects and says nothing, or half a preface, does not keep its connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// As many bytes as tell HTTP/2 from HTTP/1 (RFC 9113 section 3.4); fewer than any HTTP/1.1 request has.
const ENOUGH: usize = 24;

/// A stream whose first bytes must arrive within a time.
pub(super) struct FirstBytes<S> {
    stream: S,
    awaited: Option<Pin<Box<Sleep>>>,
    read: usize,
}

impl<S> FirstBytes<S> {
    pub(super) fn within(stream: S, limit: Duration) -> Self {
        Self { stream, awaited: Some(Box::pin(tokio::time::sleep(limit))), read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(timer) = self.awaited.as_mut() else {
            return outcome;
        };
        if outcome.is_pending() {
            return match timer.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            };
        }
        self.read += buf.filled().len() - before;
        if self.read >= ENOUGH {
            self.awaited = None;
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn half_a_preface_times_out() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = FirstBytes::within(stream, Duration::from_millis(20));
        peer.write_all(b"PRI * HTTP").await.expect("the pipe is open");
        let mut bytes = [0; 24];
        let error = stream.read_exact(&mut bytes).await.expect_err("the rest never comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn after_the_first_bytes_a_peer_may_be_slow() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = FirstBytes::within(stream, Duration::from_millis(20));
        peer.write_all(&[b'x'; ENOUGH]).await.expect("the pipe is open");
        let mut bytes = [0; ENOUGH];
        stream.read_exact(&mut bytes).await.expect("the first bytes");
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(60)).await;
            peer.write_all(b"y").await.map(|()| peer)
        });
        stream.read_exact(&mut bytes[..1]).await.expect("a slow byte");
        later.await.expect("the writer ends").expect("the pipe is open");
    }
}
