//! What is in a running gateway's memory, as the kernel shows it, and what of it never leaves the process.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::process::{Desk, Running};

/// No more of one mapping is looked through.
const LARGEST: u64 = 256 << 20;

/// The forms in which a private key could be found: its seed, and the file that it was read from.
struct Traces {
    seed: Vec<u8>,
    text: Vec<u8>,
}

impl Traces {
    fn of_the_active_key(desk: &Desk) -> Self {
        let pem = std::fs::read_to_string(desk.path("keys/signing.pem")).expect("a private key");
        let text = pem.lines().nth(1).expect("a line of base64").to_owned();
        let der = STANDARD.decode(&text).expect("base64");
        Self { seed: der[der.len() - 32..].to_vec(), text: text.into_bytes() }
    }

    /// How often the seed and the text are in the memory of a process; none if it may not be read.
    fn in_memory_of(&self, process: &Running) -> Option<(usize, usize)> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.id())).ok()?;
        let memory = match File::open(format!("/proc/{}/mem", process.id())) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
            opened => opened.expect("the memory"),
        };
        let (mut seeds, mut texts) = (0, 0);
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, to) = line.split(' ').next()?.split_once('-')?;
            let from = u64::from_str_radix(from, 16).expect("an address");
            let length = (u64::from_str_radix(to, 16).expect("an address") - from).min(LARGEST);
            let mut bytes = vec![0; usize::try_from(length).expect("a length")];
            // A mapping of the kernel's own cannot be read.
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                seeds += count(&bytes, &self.seed);
                texts += count(&bytes, &self.text);
            }
        }
        Some((seeds, texts))
    }
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    let first = what[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.filter(|(at, _)| bytes[*at..].starts_with(what)).count()
}

/// Only whoever may read all memory sees it: `serve` forbids it to everybody else.
#[test]
fn a_destroyed_key_leaves_the_memory_of_a_running_gateway() {
    let desk = Desk::new().with("KEYSTILE_STORE", "./keys");
    desk.ends(0, &["init"]);
    let (mut gateway, _) = desk.serve("g1");
    let traces = Traces::of_the_active_key(&desk);
    let Some((seeds, texts)) = traces.in_memory_of(&gateway) else {
        println!("NOT RUN: it takes root, or CAP_SYS_PTRACE, to read a gateway's memory");
        return;
    };
    assert!(seeds > 0, "the key that signs is there, so this finds it");
    assert_eq!(texts, 0, "the file that it was read from is not");
    let kid = desk.json(&["status"])["active"].as_str().expect("a kid").to_owned();
    desk.ends(0, &["revoke", &kid, "--reason", "test"]);
    gateway.await_error("from=1 to=2");
    assert_eq!(traces.in_memory_of(&gateway), Some((0, 0)), "destroyed");
}

#[test]
fn a_gateway_leaves_no_core_file() {
    let desk = Desk::new().with("KEYSTILE_STORE", "./keys");
    desk.ends(0, &["init"]);
    let (mut gateway, _) = desk.serve("g1");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert!(core.split_whitespace().skip(4).take(2).eq(["0", "0"]), "{core}");
    gateway.await_error("core_dumps=\"no\"");
}
