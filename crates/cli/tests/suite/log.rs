//! The log of a gateway, and whoever is to read it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Desk;

/// More than a pipe holds, which is 64 KiB: each makes a line of some hundred bytes.
const LINES: usize = 2000;

/// What a gateway answers to `request`.
fn answer(address: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(request).expect("written");
    let mut answer = Vec::new();
    // Whether it is closed in order does not matter here: that it is closed does.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "no answer: {error}");
    }
    answer
}

#[test]
fn a_gateway_whose_log_nobody_reads_goes_on_serving() {
    let desk = Desk::new().with("KEYSTILE_STORE", "./keys").with("KEYSTILE_LOG_LEVEL", "debug");
    desk.ends(0, &["init"]);
    // Its standard error is a pipe, and nobody reads it.
    let (gateway, url) = desk.serve("g1");
    let address = url.trim_start_matches("http://");
    for _ in 0..LINES {
        answer(address, b"no request\r\n\r\n");
    }
    let healthy = answer(address, b"GET /healthz HTTP/1.1\r\nhost: g1\r\nconnection: close\r\n\r\n");
    assert!(healthy.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&healthy));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end(), Some(0));
}

/// What a Job of Kubernetes logs: two pipes would reach its log in any order.
#[test]
fn one_stream_has_each_step_before_the_answer() {
    let desk = Desk::new().with("KEYSTILE_STORE", "./keys");
    desk.ends(0, &["init", "--policy", "verifier_cache=0", "--policy", "activation_lead=0"]);
    let output = desk.run(&["rotate", "--offline", "--one-stream", "--actor", "job"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let began = |line: &str| line.split([' ', '.']).take(2).collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = said.lines().take(3).map(began).collect();
    assert_eq!(lines, ["✓ generation", "✓ generation", "Rotated "], "{said}");

    let refused = desk.run(&["rotate", "--one-stream", "--no-such-option"]);
    assert_eq!(refused.status.code(), Some(2));
    let failed = desk.run(&["rollback", "--to", "00000000", "--one-stream"]);
    assert!(failed.stderr.is_empty() && !failed.stdout.is_empty(), "{failed:?}");
}
