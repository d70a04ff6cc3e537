//! Tower layers: the check that a gateway makes of a sandbox's token, one line in any axum or tonic service;
//! and streams that end when their token does.
//!
//! A [`Verifier`] follows a keyring's store, or the witness alone, and needs no private key. Its
//! [`layer`](Verifier::layer) lets a request in that presents a good token and puts the
//! [`SandboxId`], the [`Accepted`] token and a [`Lease`] into the request's extensions. A response that goes on,
//! and the request's own body, end when the token expires or is good no more for another reason:
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use keystile_tower::{SandboxId, Verifier};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Verifier::of_directory("/var/lib/keystile").await?;
//! let hello = |Extension(sandbox): Extension<SandboxId>| async move { format!("hello, {sandbox}\n") };
//! let app: Router = Router::new().route("/hello", get(hello)).layer(verifier.layer());
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is polled: a lease waits for a change of the keyring, a fresh token, and the next instant at which the
//! clock alone could change the verdict. All of it is the code that a gateway runs (`keystile-replica`).

#[cfg(doctest)]
#[doc = include_str!("../../../docs/how-to/embed.md")]
struct HowTo;

mod body;
mod ended;
mod layer;
mod lease;
mod leases;
mod refusal;
mod stream_id;
mod verifier;

pub use body::Live;
pub use ended::{Ended, StreamEnded};
pub use keystile_replica::{ReadError, Readiness, Refused};
pub use keystile_token::{Accepted, Answer, Reason, SandboxId};
pub use layer::{GraceTooLong, MAX_GRACE, STREAM, Verify, VerifyLayer};
pub use lease::{Lease, NotRenewed};
pub use stream_id::{NoStreamId, StreamId};
pub use verifier::{FollowError, Limits, Verifier};
