//! The program that makes the load: `serving load`, a process of its own.
//!
//! Each connection has its share of the tokens, presents them in turn, and asks again when it was answered. No tool at
//! hand does this over gRPC with a token for each request, and wrk, with a script that chooses the token, needs as much of
//! a processor as the faster servers do: it would be measured instead of them.

mod http1;
mod http2;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{BenchError, because};
use crate::usage::Usage;

/// What load is to be made.
#[derive(Clone, Debug, Args)]
pub(crate) struct Plan {
    /// What is asked
    call: Call,

    /// The server
    address: SocketAddr,

    /// One token a line
    tokens: PathBuf,

    /// Connections, each with one request at a time
    #[arg(long)]
    connections: usize,

    /// How long, seconds
    #[arg(long)]
    seconds: u64,

    /// End when each token was presented once
    #[arg(long)]
    once: bool,
}

/// What came of a load. Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Answers that the token is not good.
    pub(crate) refused: u64,
    /// Requests that were answered otherwise, or not at all.
    pub(crate) broken: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Of the load's processor, how much it used, 0 to 1.
    pub(crate) busy: f64,
}

impl Load {
    /// Requests per second.
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// What an answer says of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Good,
    Refused,
    /// None, or one that says neither.
    Broken,
}

/// What one connection has seen.
#[derive(Debug, Default)]
struct Tally {
    /// Microseconds.
    latencies: Vec<u32>,
    refused: u64,
    broken: u64,
}

impl Tally {
    /// Notes an answer; whether the connection can go on.
    fn note(&mut self, answer: Answer, took: Duration) -> bool {
        self.latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        match answer {
            Answer::Good => {}
            Answer::Refused => self.refused += 1,
            Answer::Broken => self.broken += 1,
        }
        answer != Answer::Broken
    }

    fn add(&mut self, other: &Self) {
        self.latencies.extend_from_slice(&other.latencies);
        self.refused += other.refused;
        self.broken += other.broken;
    }
}

/// How long a connection goes on.
#[derive(Clone, Copy, Debug)]
struct Until {
    end: Instant,
    once: bool,
}

impl Until {
    /// The requests of `all`, over and over or once, until it is time.
    fn turns<T>(self, all: &[T]) -> impl Iterator<Item = &T> {
        let turns = if self.once { 1 } else { usize::MAX };
        (0..turns)
            .take_while(move |_| !all.is_empty())
            .flat_map(move |_| all)
            .take_while(move |_| Instant::now() < self.end)
    }
}

/// Makes the load and prints what came of it.
pub(crate) async fn run(plan: &Plan) -> Result<(), BenchError> {
    let load = load(plan).await?;
    println!("{}", serde_json::to_string(&load).map_err(because("write the result"))?);
    Ok(())
}

async fn load(plan: &Plan) -> Result<Load, BenchError> {
    let tokens = std::fs::read_to_string(&plan.tokens).map_err(because("read the tokens"))?;
    let tokens: Vec<&str> = tokens.lines().collect();
    // Nobody asks before everybody is connected.
    let ready = Arc::new(Barrier::new(plan.connections + 1));
    let mut tasks = Vec::new();
    for first in 0..plan.connections {
        let share: Vec<_> = tokens.iter().skip(first).step_by(plan.connections).copied().collect();
        let stream = TcpStream::connect(plan.address).await.map_err(because("connect"))?;
        stream.set_nodelay(true).map_err(because("set up a connection"))?;
        let ready = Arc::clone(&ready);
        let (once, length) = (plan.once, Duration::from_secs(plan.seconds));
        let until = move || Until { end: Instant::now() + length, once };
        tasks.push(match plan.call {
            Call::Verify => {
                let requests = http1::requests(plan.address, &share);
                tokio::spawn(async move {
                    ready.wait().await;
                    http1::ask(stream, &requests, until()).await
                })
            }
            Call::Refresh => {
                let (connection, requests) = http2::connect(stream, plan.address, &share).await?;
                tokio::spawn(async move {
                    ready.wait().await;
                    http2::ask(connection, &requests, until()).await
                })
            }
        });
    }
    let before = Usage::of_itself()?;
    ready.wait().await;
    let began = Instant::now();
    let mut all = Tally::default();
    for task in tasks {
        all.add(&task.await.map_err(because("wait for a connection"))?);
    }
    let seconds = began.elapsed().as_secs_f64();
    let busy = (Usage::of_itself()?.cpu - before.cpu) / seconds;
    Ok(summary(all, seconds, busy))
}

fn summary(mut all: Tally, seconds: f64, busy: f64) -> Load {
    all.latencies.sort_unstable();
    let latencies = all.latencies;
    // In thousandths; the smallest latency that so many of all do not exceed.
    let percentile = |of_1000: usize| {
        let index = (latencies.len() * of_1000).div_ceil(1000).saturating_sub(1);
        latencies.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1e3)
    };
    let [p50, p99, p999] = [500, 990, 999].map(percentile);
    let requests = latencies.len() as u64;
    Load { requests, seconds, refused: all.refused, broken: all.broken, p50, p99, p999, busy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_requests() {
        let tally = Tally { latencies: (1..=1000).rev().collect(), refused: 0, broken: 0 };
        let load = summary(tally, 2.0, 0.5);
        assert_eq!((load.p50, load.p99, load.p999), (0.5, 0.99, 0.999));
        assert_eq!((load.requests, load.rate()), (1000, 500.0));
    }

    #[tokio::test]
    async fn once_is_once_and_nothing_is_never() {
        let until = |once| Until { end: Instant::now() + Duration::from_mins(1), once };
        assert_eq!(until(true).turns(&[1, 2, 3]).count(), 3);
        assert_eq!(until(false).turns(&[1, 2, 3]).take(7).count(), 7);
        assert_eq!(until(false).turns::<u8>(&[]).count(), 0);
        let over = Until { end: Instant::now(), once: false };
        assert_eq!(over.turns(&[1, 2, 3]).count(), 0);
    }
}
