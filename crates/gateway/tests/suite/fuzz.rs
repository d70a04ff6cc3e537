//! Inputs of a kept corpus (`tests/corpus`), changed over and over, the same ones in every run:
//! `FUZZ_RUNS=100000 cargo test -p keystile-gateway fuzz_ -- --nocapture` goes on for longer.

use std::path::Path;

use keystile_testkit::mutations::{corpus, fuzz, runs};

use crate::frames::{END_HEADERS, END_STREAM, Frame, HEADERS, SETTINGS, block};
use crate::targets;

fn kept(target: &str) -> Vec<Vec<u8>> {
    corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target))
}

#[test]
fn fuzz_configuration() {
    let inputs = kept("configuration");
    let words = &[
        "=",
        "\n",
        "\"",
        "[",
        "]",
        "true",
        "0",
        "-1",
        "1e9",
        "9223372036854775807",
        "\\u0000",
        "\"1h\"",
        "#",
        ".",
    ];
    let mut read = 0;
    fuzz(&inputs, words, runs(1_000), |input| read += usize::from(targets::configuration(input)));
    assert!(read > inputs.len(), "some changes leave a configuration");
}

#[test]
fn fuzz_connection() {
    let mut inputs = kept("connection");
    let headers = block("GET", "/verify", &[("authorization", "Bearer {TOKEN}")]);
    let frames =
        [Frame::new(SETTINGS, 0, 0, &[]), Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, &headers)];
    let mut http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    http2.extend(frames.iter().flat_map(Frame::bytes));
    inputs.push(http2);
    let words = &[
        "\r\n",
        "\r\n\r\n",
        "authorization: Bearer {TOKEN}\r\n",
        "transfer-encoding: chunked\r\n",
        "content-length: 5\r\n",
        "GET /verify HTTP/1.1\r\n",
        "expect: 100-continue\r\n",
        "host: x\r\n",
        "0\r\n",
        "{TOKEN}",
        "x-sandbox-id: other\r\n",
        "%2e",
        "\0",
        " ",
        "\t",
        ":",
    ];
    fuzz(&inputs, words, runs(500), targets::connection);
}

#[test]
fn fuzz_call() {
    let inputs = kept("call");
    let words = &["\0", "\0\0\0\0\0", "\0\0\0\0\u{2}\n\0", "\u{1}\0\0\0\u{4}", "\u{7f}", "\n", "\u{10}"];
    fuzz(&inputs, words, runs(500), targets::call);
}
