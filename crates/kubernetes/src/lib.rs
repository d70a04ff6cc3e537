//! A client of the Kubernetes API: single calls with a limit on time and size, what the server's
//! clock says, and answers that come line by line.
//!
//! It is small on purpose. What a call says goes over the wire as it is written here: no retries that
//! would send a change twice, no types that print what a Secret holds.

mod access;
mod api;
mod call;
mod error;
mod lines;
mod name;
mod object;
mod time;

pub use access::Access;
pub use api::Api;
pub use call::Call;
pub use error::{ApiError, Refusal};
pub use lines::Lines;
pub use name::{NameError, ObjectName};
pub use object::{Data, Meta, Object, Owner};
pub use time::{micro_time, rfc3339};
