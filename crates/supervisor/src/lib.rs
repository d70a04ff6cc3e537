//! The client inside a sandbox: obtains, renews and presents the sandbox token.
//!
//! [`Supervisor::start`] runs one in the background of a tokio runtime:
//!
//! * **Obtain.** The first [`Source`] that has a token is used; the others remain as ways back.
//! * **Renew.** At a random point of the last part of the token's life, so that supervisors that began together
//!   spread out; at once when a call was answered UNAUTHENTICATED ([`Supervisor::rejected`]); with waits that grow,
//!   are random and honour the gateway's `retry-after-ms` when it fails; at another gateway when one is silent.
//! * **Recover.** A token that is refused is replaced through whatever source can. Where none can, the state
//!   says what somebody must do ([`State::Stranded`]), and a token file is taken up as soon as it changes.
//! * **Present.** [`Supervisor::layer`] puts the token on every call and watches for rejections; the token can
//!   also be kept in a file ([`Output`]).
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use keystile_proto::keystile::v1::{WhoAmIRequest, keystile_client::KeystileClient};
//! use keystile_supervisor::{Config, Endpoint, Source, Supervisor, Timing};
//! use keystile_system::{SystemClock, SystemEntropy};
//! use tower::Layer as _;
//!
//! # async fn example(channel: tonic::transport::Channel) -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config {
//!     endpoints: vec![Endpoint::url("http://127.0.0.1:17670")?],
//!     sources: vec![Source::TokenFile("/etc/openshell/auth/sandbox.jwt".into())],
//!     tls: None,
//!     allow_plaintext: false,
//!     output: None,
//!     timing: Timing::default(),
//! };
//! let supervisor = Supervisor::start(config, Arc::new(SystemClock::default()), Arc::new(SystemEntropy))?;
//! supervisor.ready().await?;
//! let mut client = KeystileClient::new(supervisor.layer().layer(channel));
//! println!("{}", client.who_am_i(WhoAmIRequest {}).await?.into_inner().sandbox_id);
//! supervisor.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here verifies a signature or holds a signing key: the crate cannot link private-key code. No token is
//! printed by any `Debug`, error or log line of it.

mod command;
mod config;
mod dice;
mod endpoint;
mod engine;
mod failure;
mod files;
mod gateways;
mod ledger;
mod output;
mod present;
pub mod schedule;
mod sources;
mod state;
mod supervisor;
mod token;

pub use command::{CommandError, Ending, TOKEN_FILE_VARIABLE, run_command};
pub use config::{Config, ConfigError, Identity, Output, Source, Timing, Tls};
pub use dice::Dice;
pub use endpoint::{Endpoint, EndpointError};
pub use failure::{Answer, Failure, FailureKind, RETRY_AFTER};
pub use ledger::Counters;
pub use present::{Interceptor, Present, PresentLayer};
pub use state::{Lease, Origin, Remedy, State};
pub use supervisor::{Stopped, Supervisor};
pub use token::{Expiry, Facts, MAX_TOKEN, Token, TokenError};
