//! A peer that connects and says nothing, half a preface, or a header byte by byte, or that does not read what it
//! asked for, does not keep its connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// As many bytes as tell HTTP/2 from HTTP/1 (RFC 9113 section 3.4); fewer than any HTTP/1.1 request has.
const ENOUGH: usize = 24;

/// How the connection preface of HTTP/2 begins, as no HTTP/1 request does.
const PREFACE: &[u8] = b"PRI ";

/// Counts how often a request of one connection has begun or was answered: what had arrived until then was no header
/// that hangs back.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<AtomicU64>);

impl Requests {
    /// A header has arrived whole.
    pub(super) fn begun(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is done with, and so is its body.
    pub(super) fn answered(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long what a peer owes may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Its first bytes.
    pub(super) first: Duration,
    /// Each header in HTTP/1.
    pub(super) header: Duration,
    /// To take any byte that is written.
    pub(super) taken: Duration,
}

/// A stream whose first bytes must arrive within a time, and in HTTP/1 each request's header within another.
///
/// The server's own limit on reading a header also runs while a connection idles between two requests, and so has
/// to be long. HTTP/2 bounds headers by their size, and idle connections by pings; but it would wait for ever to write
/// the ping, or its farewell, to a peer that reads nothing.
pub(super) struct Paced<S> {
    stream: S,
    awaited: Option<Pin<Box<Sleep>>>,
    read: usize,
    begins: Vec<u8>,
    /// Absent in HTTP/2.
    headers: Option<Headers>,
    taken: Duration,
    /// Runs while the peer takes nothing.
    untaken: Option<Pin<Box<Sleep>>>,
}

/// The header that is arriving, if one is.
struct Headers {
    limit: Duration,
    requests: Requests,
    arriving: Option<Arriving>,
}

struct Arriving {
    /// The count before it.
    before: u64,
    /// When it must be whole.
    due: Instant,
    /// Made for the few that do not arrive at once.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Headers {
    /// Bytes have arrived: of the header that is arriving, or of a new one.
    fn more(&mut self) {
        self.settle();
        let limit = self.limit;
        self.arriving.get_or_insert_with(|| Arriving {
            before: self.requests.count(),
            due: Instant::now() + limit,
            timer: None,
        });
    }

    /// Forgets what was no header, or has arrived whole since.
    fn settle(&mut self) {
        let now = self.requests.count();
        self.arriving.take_if(|arriving| arriving.before != now);
    }

    /// Whether a header has been arriving for too long.
    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        self.settle();
        self.arriving.as_mut().is_some_and(|Arriving { due, timer, .. }| {
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*due)));
            timer.as_mut().poll(cx).is_ready()
        })
    }
}

impl<S> Paced<S> {
    /// `requests` tells when a header is whole.
    pub(super) fn new(stream: S, times: Times, requests: Requests) -> Self {
        let awaited = Some(Box::pin(tokio::time::sleep(times.first)));
        let headers = Some(Headers { limit: times.header, requests, arriving: None });
        Self { stream, awaited, read: 0, begins: Vec::new(), headers, taken: times.taken, untaken: None }
    }

    fn arrived(&mut self, bytes: &[u8]) {
        self.read += bytes.len();
        if self.read >= ENOUGH {
            self.awaited = None;
        }
        if self.begins.len() < PREFACE.len() {
            let missing = PREFACE.len() - self.begins.len();
            self.begins.extend(bytes.iter().take(missing));
            if self.begins == PREFACE {
                self.headers = None;
            }
        }
        if let Some(headers) = &mut self.headers {
            headers.more();
        }
    }

    fn late(&mut self, cx: &mut Context<'_>) -> bool {
        let first = self.awaited.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        first || self.headers.as_mut().is_some_and(|headers| headers.late(cx))
    }

    /// What came of writing; an error if the peer has taken nothing for too long.
    fn written<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.untaken = None;
            return outcome;
        }
        let taken = self.taken;
        let timer = self.untaken.get_or_insert_with(|| Box::pin(tokio::time::sleep(taken)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if outcome.is_pending() {
            if self.late(cx) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Pending;
        }
        let new = buf.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            self.arrived(new);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(outcome, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_hours(1);

    fn pair(first: Duration, header: Duration) -> (DuplexStream, Paced<DuplexStream>, Requests) {
        let (peer, stream) = tokio::io::duplex(64);
        let requests = Requests::default();
        let times = Times { first, header, taken: SHORT };
        (peer, Paced::new(stream, times, requests.clone()), requests)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_times_out_and_a_slow_one_does_not() {
        let (mut peer, mut stream, _) = pair(LONG, LONG);
        let reader = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(SHORT / 2).await;
                peer.read_exact(&mut [0; 64]).await.expect("bytes");
            }
            peer
        });
        stream.write_all(&[b'x'; 640]).await.expect("they are taken, slowly");
        let _peer = reader.await.expect("it reads");
        let error = stream.write_all(&[b'x'; 65]).await.expect_err("nobody takes the last one");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_preface_times_out() {
        let (mut peer, mut stream, _) = pair(SHORT, LONG);
        peer.write_all(b"PRI * HTTP").await.expect("the pipe is open");
        let error = stream.read_exact(&mut [0; 24]).await.expect_err("the rest never comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_end_times_out_however_often_a_byte_of_it_comes() {
        let (mut peer, mut stream, _) = pair(LONG, SHORT);
        tokio::spawn(async move {
            loop {
                peer.write_all(b"a").await.expect("the pipe is open");
                tokio::time::sleep(SHORT / 4).await;
            }
        });
        let error = stream.read_exact(&mut [0; 1000]).await.expect_err("it is cut off");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_requests_a_connection_may_idle() {
        let (mut peer, mut stream, requests) = pair(SHORT, SHORT);
        for _ in 0..3 {
            peer.write_all(&[b'x'; ENOUGH]).await.expect("the pipe is open");
            stream.read_exact(&mut [0; ENOUGH]).await.expect("a request");
            requests.begun();
            let more = tokio::time::timeout(SHORT * 50, stream.read(&mut [0; 1])).await;
            assert!(more.is_err(), "it waits for the next one");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_http_2_only_the_first_bytes_are_awaited() {
        let (mut peer, mut stream, _) = pair(SHORT, SHORT);
        peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the pipe is open");
        stream.read_exact(&mut [0; ENOUGH]).await.expect("the preface");
        let more = tokio::time::timeout(SHORT * 50, stream.read(&mut [0; 1])).await;
        assert!(more.is_err(), "frames come when they come");
    }
}
