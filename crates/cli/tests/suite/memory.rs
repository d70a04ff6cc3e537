//! What is in a running gateway's memory, as the kernel shows it, and what of it never leaves the process.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile_token::PrivateKey;

use crate::process::{Desk, Running};
use crate::traces::{Traces as Forms, count, files_below};

/// No more of one mapping is looked through.
const LARGEST: u64 = 256 << 20;

/// A keyring whose superseded keys are destroyed after some seconds.
const SHORT: [&str; 9] = [
    "init",
    "--policy=token_ttl=1",
    "--policy=leeway=0",
    "--policy=max_skew=0",
    "--policy=rollback_custody=0",
    "--policy=max_staleness=2",
    "--policy=commit_delay=1",
    "--policy=verifier_cache=0",
    "--policy=activation_lead=0",
];

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
                seeds += count(&self.seed, &bytes);
                texts += count(&self.text, &bytes);
            }
        }
        Some((seeds, texts))
    }
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
    let after = traces.in_memory_of(&gateway);
    tell("revoked", (seeds, texts), after);
    assert_eq!(after, Some((0, 0)), "destroyed");
}

/// What `docs/explanation/evidence.md` names.
fn tell(what: &str, before: (usize, usize), after: Option<(usize, usize)>) {
    let Some(after) = after else { return };
    println!(
        "{what}: the seed {} times before, {} after; its file's text {}, {}",
        before.0, after.0, before.1, after.1
    );
}

/// The same of a key whose time ran out, and no file has it any more either.
#[test]
fn a_key_that_prune_destroyed_leaves_the_memory_of_a_running_gateway_and_every_file() {
    let desk = Desk::new().with("KEYSTILE_STORE", "./keys");
    desk.ends(0, &SHORT);
    let (mut gateway, _) = desk.serve("g1");
    let mut log = gateway.errors();
    let traces = Traces::of_the_active_key(&desk);
    let key = PrivateKey::from_pem(&std::fs::read(desk.path("keys/signing.pem")).expect("a private key"));
    let forms = Forms::of_key(&key.expect("a private key"));
    let files = || files_below(&desk.path("")).iter().filter(|(_, bytes)| forms.are_in(bytes)).count();
    let before = traces.in_memory_of(&gateway);
    assert!(before.is_none_or(|(seeds, texts)| seeds > 0 && texts == 0), "{before:?}");
    desk.ends(0, &["rotate", "--timeout", "60s"]);
    let rotated = desk.json(&["status"])["generation"].as_u64().expect("a number");
    let held = files();
    assert!(held > 0, "until it is pruned, so this finds it");
    // The old private key is kept for as long as plans may still name it: some seconds.
    while desk.json(&["status"])["generation"] == rotated {
        desk.ends(0, &["prune"]);
    }
    assert_eq!(files(), 0, "destroyed");
    log.until(&format!("to={}", rotated + 1));
    println!("pruned: in {held} files before, in 0 after");
    let Some(before) = before else {
        println!("NOT RUN: it takes root, or CAP_SYS_PTRACE, to read a gateway's memory");
        return;
    };
    let after = traces.in_memory_of(&gateway);
    tell("pruned", before, after);
    assert_eq!(after, Some((0, 0)), "destroyed");
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
