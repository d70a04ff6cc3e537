//! HTTP/2 by hand: what no well-behaved client sends (RFC 9113, RFC 7541).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Types of frames.
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags of HEADERS.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Reasons.
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        Self { kind, flags, stream, payload: payload.to_vec() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a small frame").to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The status that a HEADERS frame begins with: 200 has an index of its own, others are literals in Huffman's code.
    pub fn status(&self) -> u16 {
        match self.payload[..] {
            [0x88, ..] => 200,
            [0x48, 0x82, 0x68, 0x01, ..] => 401,
            [0x48, 0x83, 0x69, 0x90, 0xff, ..] => 431,
            _ => panic!("{:?}", self.payload),
        }
    }

    /// The reason of a GOAWAY or RST_STREAM.
    pub fn reason(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("a reason"))
    }
}

/// A header block without any compression, or with what only the static table holds.
pub fn block(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x86];
    for (name, value) in [(":method", method), (":path", path), (":authority", "x")].iter().chain(headers) {
        literal(&mut block, 0x00, name, value);
    }
    block
}

/// A literal header: `kind` 0x00 is forgotten again, 0x40 goes to the table.
pub fn literal(block: &mut Vec<u8>, kind: u8, name: &str, value: &str) {
    block.push(kind);
    for text in [name, value] {
        length(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// An integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, mut value: usize) {
    let byte = |value: usize| u8::try_from(value).expect("less than a byte");
    if value < 127 {
        return block.push(byte(value));
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push(byte(value % 128 + 128));
        value /= 128;
    }
    block.push(byte(value));
}

/// A connection whose preface was sent.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn open(addr: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(addr).await.expect("it listens");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it reads");
        let mut raw = Self(stream);
        raw.send(&[Frame::new(SETTINGS, 0, 0, &[])]).await;
        raw
    }

    /// Sends all frames at once. That the gateway has closed the connection is seen when reading.
    pub async fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let _ = self.0.write_all(&bytes).await;
    }

    /// The next frame; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(Duration::from_secs(20), read(&mut self.0)).await.expect("a frame or an end")
    }

    /// The next frame of this type, whatever comes before.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            match self.next().await {
                Some(frame) if frame.kind != kind => {}
                found => return found,
            }
        }
    }

    /// Reads until the connection is closed. What was said last.
    pub async fn closed(&mut self) -> Option<Frame> {
        let mut last = None;
        while let Some(frame) = self.next().await {
            last = Some(frame);
        }
        last
    }
}

async fn read(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream_id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind, flags, stream: u32::from_be_bytes(stream_id), payload })
}
