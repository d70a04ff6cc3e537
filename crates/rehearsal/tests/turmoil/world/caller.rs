//! Whoever presents tokens: HTTP/1.1 by hand, over the simulated network.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::World;
use super::network::{Link, Stream};
use crate::oracle::{Answer, Call, Facts, Maker};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A caller with its open connections.
pub struct Caller {
    world: Arc<World>,
    /// By gateway.
    links: Vec<Arc<Link>>,
    address: SocketAddr,
    open: BTreeMap<usize, Stream>,
}

impl Caller {
    /// The caller with this number: each supervisor's, and then the adversary's.
    pub fn new(world: &Arc<World>, number: usize) -> Self {
        let address = World::address(number);
        Self { world: Arc::clone(world), links: world.links[number].clone(), address, open: BTreeMap::new() }
    }

    /// Presents `token`, and has the answer judged.
    pub async fn present(&mut self, gateway: usize, token: &str, facts: &Facts, maker: Maker) -> Answer {
        let sent = self.world.time.now();
        let status = tokio::time::timeout(PATIENCE, self.exchange(gateway, token)).await;
        let answer = match status {
            Ok(Ok(200)) => Answer::Accepted,
            Ok(Ok(401)) => Answer::Rejected,
            Ok(Ok(_)) => Answer::Unavailable,
            Ok(Err(_)) | Err(_) => {
                self.open.remove(&gateway);
                Answer::Silence
            }
        };
        let clock = &self.world.gateways[gateway].clock;
        let answered = self.world.time.now();
        self.world.oracle.judge(&Call { gateway, clock, sent, answered, token: facts, maker, answer });
        answer
    }

    async fn exchange(&mut self, gateway: usize, token: &str) -> io::Result<u16> {
        let mut stream = match self.open.remove(&gateway) {
            Some(stream) => stream,
            None => self.world.doors[gateway].connect(&self.links[gateway], self.address).await?,
        };
        let request =
            format!("GET /verify HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = answer.get(9..12).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        self.open.insert(gateway, stream);
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
