//! Links between callers and gateways: TCP as programs see it. Bytes arrive late and in order, wait while a direction
//! is cut, and are lost only with their connection.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keystile_gateway::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;

use super::chance::Chance;
use super::time::Time;

/// The two directions of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToGateway,
    FromGateway,
}

pub const BOTH_WAYS: [Way; 2] = [Way::ToGateway, Way::FromGateway];

/// Between one caller and one gateway.
pub struct Link {
    time: Time,
    ways: [Mutex<Direction>; 2],
    /// Ticks when a direction is cut or mended.
    changed: watch::Sender<u64>,
}

struct Direction {
    chance: Chance,
    /// How many faults cut it just now.
    cuts: u32,
    /// What a slow link adds, at most, in milliseconds.
    slow: u64,
    waiting: Vec<Waker>,
}

impl Link {
    pub fn new(time: Time, chance: &Chance) -> Self {
        let way = |number| {
            let chance = chance.stream("way", number);
            Mutex::new(Direction { chance, cuts: 0, slow: 0, waiting: Vec::new() })
        };
        Self { time, ways: [way(0), way(1)], changed: watch::Sender::new(0) }
    }

    fn way(&self, way: Way) -> MutexGuard<'_, Direction> {
        self.ways[way as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, way: Way) {
        self.way(way).cuts += 1;
        self.changed.send_modify(|count| *count += 1);
    }

    fn mend(&self, way: Way) {
        let waiting = {
            let mut direction = self.way(way);
            direction.cuts -= 1;
            std::mem::take(&mut direction.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
        self.changed.send_modify(|count| *count += 1);
    }

    pub fn slow_down(&self, millis: u64) {
        for way in BOTH_WAYS {
            self.way(way).slow = millis;
        }
    }

    /// How long what is sent now takes.
    fn latency(&self, way: Way) -> Duration {
        let mut direction = self.way(way);
        let slow = direction.slow;
        direction.chance.millis(1, 4) + direction.chance.millis(0, slow)
    }

    fn is_cut(&self, way: Way) -> bool {
        self.way(way).cuts > 0
    }

    /// Whether the direction is cut; if so, `waker` is woken when it is mended.
    fn blocks(&self, way: Way, waker: &Waker) -> bool {
        let mut direction = self.way(way);
        if direction.cuts > 0 {
            direction.waiting.push(waker.clone());
        }
        direction.cuts > 0
    }

    /// Waits until both directions carry.
    async fn carries(&self) {
        let mut changed = self.changed.subscribe();
        while BOTH_WAYS.into_iter().any(|way| self.is_cut(way)) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Cuts these directions of the links.
pub fn cut(links: &[Arc<Link>], ways: &[Way]) {
    for link in links {
        for way in ways {
            link.cut(*way);
        }
    }
}

/// Mends what [`cut`] has cut.
pub fn mend(links: &[Arc<Link>], ways: &[Way]) {
    for link in links {
        for way in ways {
            link.mend(*way);
        }
    }
}

/// How a connection ended that did not end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The other end says so.
    Reset,
    /// Nobody says anything any more.
    Silent,
}

/// One direction of one connection.
#[derive(Default)]
struct Pipe {
    /// What is under way: when it arrives, and what; nothing is the end.
    under_way: VecDeque<(Duration, Vec<u8>)>,
    last: Duration,
    broken: Option<Broken>,
    reader: Option<Waker>,
}

impl Pipe {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

type SharedPipe = Arc<Mutex<Pipe>>;
type WeakPipe = Weak<Mutex<Pipe>>;

fn lock(pipe: &SharedPipe) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One end of a connection.
pub struct Stream {
    link: Arc<Link>,
    incoming: (Way, SharedPipe),
    outgoing: (Way, SharedPipe),
    arrival: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    fn send(&self, bytes: &[u8]) {
        let (way, pipe) = &self.outgoing;
        let arrives = self.link.time.now() + self.link.latency(*way);
        let mut pipe = lock(pipe);
        pipe.last = pipe.last.max(arrives);
        let arrives = pipe.last;
        pipe.under_way.push_back((arrives, bytes.to_vec()));
        pipe.wake();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let arrives = {
                let (way, pipe) = &self.incoming;
                let mut pipe = lock(pipe);
                pipe.reader = Some(cx.waker().clone());
                if self.link.blocks(*way, cx.waker()) {
                    return Poll::Pending;
                }
                match pipe.broken {
                    Some(Broken::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                    Some(Broken::Silent) => return Poll::Pending,
                    None => {}
                }
                let now = self.link.time.now();
                match pipe.under_way.front_mut() {
                    None => return Poll::Pending,
                    Some((arrives, bytes)) if *arrives <= now => {
                        let count = bytes.len().min(buf.remaining());
                        buf.put_slice(&bytes[..count]);
                        bytes.drain(..count);
                        // What is empty from the start is the end, and stays.
                        if bytes.is_empty() && count > 0 {
                            pipe.under_way.pop_front();
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Some((arrives, _)) => *arrives,
                }
            };
            let until = self.link.time.instant(arrives);
            let arrival = self.arrival.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if arrival.deadline() != until {
                arrival.as_mut().reset(until);
            }
            if arrival.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if lock(&self.outgoing.1).broken == Some(Broken::Reset) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !bytes.is_empty() {
            self.send(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send(&[]);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.send(&[]);
    }
}

/// What one gateway process listens on.
pub struct Port {
    address: SocketAddr,
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Stream, SocketAddr)>>,
}

impl Listener for Port {
    type Stream = Stream;

    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let next = self.queue.lock().await.recv().await;
        match next {
            Some(accepted) => Ok(accepted),
            None => std::future::pending().await,
        }
    }
}

/// Where a gateway can be reached, whichever process of it runs.
#[derive(Default)]
pub struct Door {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    queue: Option<mpsc::UnboundedSender<(Stream, SocketAddr)>>,
    /// Both directions of each connection.
    connections: Vec<(WeakPipe, WeakPipe)>,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process begins to listen.
    pub fn open(&self, address: SocketAddr) -> Port {
        let (queue, connections) = mpsc::unbounded_channel();
        *self.state() = Open { queue: Some(queue), connections: Vec::new() };
        Port { address, queue: tokio::sync::Mutex::new(connections) }
    }

    /// The process is gone, and with it every connection. The callers hear of it, or not.
    pub fn slam(&self, callers: Broken) {
        let open = std::mem::take(&mut *self.state());
        for (to_gateway, from_gateway) in open.connections {
            for (pipe, how) in [(to_gateway, Broken::Reset), (from_gateway, callers)] {
                if let Some(pipe) = pipe.upgrade() {
                    let mut pipe = lock(&pipe);
                    pipe.broken = Some(how);
                    pipe.wake();
                }
            }
        }
    }

    /// Connects over `link`, when it carries.
    pub async fn connect(&self, link: &Arc<Link>, caller: SocketAddr) -> io::Result<Stream> {
        link.carries().await;
        let there_and_back = link.latency(Way::ToGateway) + link.latency(Way::FromGateway);
        tokio::time::sleep(there_and_back).await;
        link.carries().await;
        let mut open = self.state();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let queue = open.queue.clone().ok_or_else(refused)?;
        let (to, from) = (SharedPipe::default(), SharedPipe::default());
        let near = Stream {
            link: Arc::clone(link),
            incoming: (Way::FromGateway, Arc::clone(&from)),
            outgoing: (Way::ToGateway, Arc::clone(&to)),
            arrival: None,
        };
        open.connections.retain(|(to, _)| to.strong_count() > 0);
        open.connections.push((Arc::downgrade(&to), Arc::downgrade(&from)));
        let far = Stream {
            link: Arc::clone(link),
            incoming: (Way::ToGateway, to),
            outgoing: (Way::FromGateway, from),
            arrival: None,
        };
        queue.send((far, caller)).map_err(|_| refused())?;
        Ok(near)
    }
}
