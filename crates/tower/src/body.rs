//! A body that ends with the token it is sent under.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::ended::{Ended, StreamEnded};
use crate::lease::Lease;
use crate::refusal::trailers;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// A body that ends when its [`Lease`] does: with the error [`StreamEnded`], or in gRPC's way, with a status.
    pub struct Live<B> {
        #[pin]
        inner: Option<B>,
        lease: Option<Lease>,
        // Made at the first poll: many a body is never looked at.
        end: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
        by_status: bool,
    }
}

impl<B> Live<B> {
    /// A body that is over.
    pub(crate) fn empty() -> Self {
        Self { inner: None, lease: None, end: None, by_status: false }
    }

    /// `body` as it is.
    pub(crate) fn whole(body: B) -> Self {
        Self { inner: Some(body), ..Self::empty() }
    }

    /// `body`, until `lease` ends: then an error.
    pub(crate) fn broken_off(body: B, lease: Lease) -> Self {
        Self { inner: Some(body), lease: Some(lease), end: None, by_status: false }
    }

    /// `body`, until `lease` ends: then a status of gRPC.
    pub(crate) fn by_status(body: B, lease: Lease) -> Self {
        Self { by_status: true, ..Self::broken_off(body, lease) }
    }
}

impl<B> Body for Live<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        if let Some(lease) = this.lease {
            // First, and at each frame: a body that always has one more would never be looked at.
            let end = this.end.get_or_insert_with(|| Box::pin(lease.ended()));
            // Whoever else found it out has said so: a service that sees its request's body end must not answer first.
            let ended = lease.is_over().map_or_else(|| end.as_mut().poll(cx), Poll::Ready);
            if let Poll::Ready(ended) = ended {
                // What the service still holds for the stream goes with it.
                this.inner.set(None);
                (*this.lease, *this.end) = (None, None);
                return Poll::Ready(Some(if *this.by_status {
                    Ok(Frame::trailers(trailers(&ended.answer())))
                } else {
                    Err(StreamEnded(ended).into())
                }));
            }
        }
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let frame = std::task::ready!(inner.poll_frame(cx));
        if frame.is_none() {
            this.inner.set(None);
            (*this.lease, *this.end) = (None, None);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for Live<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("lease", &self.lease).finish_non_exhaustive()
    }
}
