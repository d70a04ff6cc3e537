//! The gateway behind `keystile serve`: tokens over gRPC, published keys and forward-auth over HTTP.
//!
//! [`Gateway::bind`] takes a [`Config`], a store, a clock, randomness and a cluster, so that a test
//! or a rehearsal runs whole gateways in its own process; [`Gateway::bind_on`] takes its listeners as well. The keyring is swapped atomically when the
//! store changes; the request path takes no lock, reads the clocks once, and does no I/O but one bounded
//! re-read of the store for a token that would otherwise be refused by an old keyring.

mod admin;
mod audit;
mod bootstrap;
pub mod config;
pub mod endpoints;
mod gatekeeper;
mod gateway;
mod grpc;
mod http;
mod metrics;
mod mint;
mod rate;
mod report;
mod server;
mod tarpit;
mod tls;

pub use admin::{KeyStatus, NextEvent, Status};
pub use config::Config;
pub use gateway::{Gateway, Listeners, StartError};
pub use grpc::ReflectionError;
pub use keystile_replica::{Fault, ReadError, Readiness};
pub use metrics::{METRICS, Metric, PROCESS, VIEWED};
pub use server::Listener;
pub use tls::TlsError;
