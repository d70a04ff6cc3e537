//! `GET /verify` over HTTP/1.1, without pipelining.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Answer, Tally, Until};
use crate::call::Call;

/// Longer than any answer.
const ANSWER: usize = 8 * 1024;
/// More headers than any answer has.
const HEADERS: usize = 32;

/// The bytes of a request with each of `tokens`.
pub(super) fn requests(address: SocketAddr, tokens: &[&str]) -> Vec<Vec<u8>> {
    let path = Call::Verify.path();
    let request =
        |token| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    tokens.iter().map(|token| request(token).into_bytes()).collect()
}

/// Asks and waits for the answer, again and again.
pub(super) async fn ask(mut stream: TcpStream, requests: &[Vec<u8>], until: Until) -> Tally {
    let mut tally = Tally::default();
    let mut buffer = vec![0; ANSWER];
    for request in until.turns(requests) {
        let began = Instant::now();
        let answer = match stream.write_all(request).await {
            Ok(()) => answer(&mut stream, &mut buffer).await,
            Err(_) => Answer::Broken,
        };
        if !tally.note(answer, began.elapsed()) {
            break;
        }
    }
    tally
}

async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Answer {
    let mut filled = 0;
    loop {
        let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) else {
            return Answer::Broken;
        };
        match stream.read(room).await {
            Ok(read) if read > 0 => filled += read,
            _ => return Answer::Broken,
        }
        if let Some(answer) = buffer.get(..filled).and_then(read) {
            return answer;
        }
    }
}

/// What the bytes say, if they are a whole answer.
fn read(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(Answer::Broken),
    };
    let lengths = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let mut lengths = lengths.map(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    // Whoever sends a body in another way is not asked here.
    let Some(Some(length)) = lengths.next() else {
        return Some(Answer::Broken);
    };
    let answer = match response.code {
        Some(200) => Answer::Good,
        Some(401) => Answer::Refused,
        _ => Answer::Broken,
    };
    (bytes.len() >= head + length).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nJwt.";
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end} bytes");
        }
        assert_eq!(read(whole), Some(Answer::Refused));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Some(Answer::Good));
    }

    #[test]
    fn what_is_neither_good_nor_refused_is_broken() {
        for bytes in [
            &b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"no HTTP at all\r\n\r\n",
        ] {
            assert_eq!(read(bytes), Some(Answer::Broken), "{bytes:?}");
        }
    }
}
