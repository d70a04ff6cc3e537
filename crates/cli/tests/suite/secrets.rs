//! What must never be said, and lies only where it belongs: a private key, and a token.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Manifest, PublicKey};
use keystile_store::members;
use keystile_token::PrivateKey;

use crate::process::{Desk, Heard, Running};
use crate::story::openshell_key_set;
use crate::traces::{LABEL, Traces, below, files_below};

/// The stores of these lives, on one desk.
const STORES: [&str; 8] =
    ["quick", "rolled", "revoked", "retired", "reconciled", "backup", "adopted", "served"];

/// Every verb that writes.
const WRITING: [&str; 12] = [
    "activate",
    "adopt",
    "init",
    "mint",
    "prepare",
    "prune",
    "reconcile",
    "retire",
    "revoke",
    "rollback",
    "rotate",
    "set-policy",
];

const EMERGENCY: [&str; 4] = ["rotate", "--emergency", "--reason", "a test"];

/// Nothing has to be waited for.
const QUICK: [&str; 9] = [
    "init",
    "--policy=token_ttl=1",
    "--policy=leeway=0",
    "--policy=max_skew=0",
    "--policy=rollback_custody=0",
    "--policy=max_staleness=1",
    "--policy=commit_delay=1",
    "--policy=verifier_cache=0",
    "--policy=activation_lead=0",
];

/// A token that was minted, and the files that it was asked into.
struct Token {
    whole: String,
    traces: Traces,
    files: Vec<PathBuf>,
}

/// Runs the program at its most talkative, and after each verb searches all that it said, and every file, for every
/// private key and every token that there ever was.
struct Watch {
    desk: Desk,
    format: &'static str,
    keys: Vec<(PublicKey, Traces)>,
    tokens: Vec<Token>,
    /// An OpenShell key set's private key, until it is adopted.
    foreign: Option<PathBuf>,
    /// Whether other processes change files just now: then only keys are learnt.
    live: bool,
    done: BTreeSet<String>,
    runs: usize,
    files: usize,
}

impl Watch {
    fn new(format: &'static str) -> Self {
        let desk = Desk::new();
        let temporary = desk.path("tmp");
        std::fs::create_dir(&temporary).expect("a directory");
        Self {
            desk: desk.with("TMPDIR", temporary.to_str().expect("text")),
            format,
            keys: Vec::new(),
            tokens: Vec::new(),
            foreign: None,
            live: false,
            done: BTreeSet::new(),
            runs: 0,
            files: 0,
        }
    }

    fn full<'a>(&self, store: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["-vvv", "--output", self.format, "--store", store], arguments].concat()
    }

    /// Runs a verb that need not do anything.
    fn run(&mut self, store: &str, arguments: &[&str]) -> Output {
        let output = self.desk.run(&self.full(store, arguments));
        let what = arguments.join(" ");
        self.search_files(&what);
        self.search_said(&what, &output.stdout);
        self.search_said(&what, &output.stderr);
        self.runs += 1;
        output
    }

    /// Runs a verb that must change the keyring.
    fn changes(&mut self, store: &str, arguments: &[&str]) {
        let before = self.manifest(store).map(|manifest| manifest.generation);
        let output = self.run(store, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        let after = self.manifest(store).map(|manifest| manifest.generation);
        assert!(after.is_some() && after != before, "{arguments:?} changed nothing: {said}");
        self.done.insert(arguments[0].to_owned());
    }

    /// Mints a token into a file.
    fn mints(&mut self, store: &str, sandbox: &str, file: &str) {
        let path = self.desk.path(file);
        let output = self.desk.run(&self.full(store, &["mint", sandbox, "--out", file]));
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        self.learn_token(&std::fs::read_to_string(&path).expect("a token"), &[path]);
        self.search_said("mint --out", &said);
        self.search_files("mint --out");
        self.done.insert("mint".to_owned());
        self.runs += 1;
    }

    /// Mints a token onto its standard output, which is the one place where it may be.
    fn mints_aloud(&mut self, store: &str, sandbox: &str) {
        let output = self.desk.run(&self.full(store, &["mint", sandbox]));
        let said = String::from_utf8(output.stdout).expect("text");
        let document = serde_json::from_str::<serde_json::Value>(&said);
        let token = document.map_or(said.clone(), |found| found["token"].as_str().unwrap_or_default().into());
        self.learn_token(&token, &[]);
        self.search_said("mint", &output.stderr);
        self.search_said("mint", said.replace(token.trim(), "").as_bytes());
        self.search_files("mint");
        self.runs += 1;
    }

    fn learn_token(&mut self, token: &str, files: &[PathBuf]) {
        let token = token.trim();
        assert!(token.starts_with("ey"), "a token: {token}");
        if let Some(known) = self.tokens.iter_mut().find(|known| known.whole == token) {
            return known.files.extend_from_slice(files);
        }
        let traces = Traces::of_token(token);
        self.tokens.push(Token { whole: token.to_owned(), traces, files: files.to_vec() });
    }

    fn manifest(&self, store: &str) -> Option<Manifest> {
        manifest_in(&self.desk.path(store).join("..data"))
    }

    /// The kid of the key that signs, or is to.
    fn signer(&self, store: &str) -> String {
        let manifest = self.manifest(store).expect("a keyring");
        manifest.last_signer().expect("a key signs").to_string()
    }

    /// The keys that belong into a file: those of its generation, by name.
    fn keys_of(&self, path: &Path) -> Vec<PublicKey> {
        if self.foreign.as_deref() == Some(path) {
            return PrivateKey::from_pem(&std::fs::read(path).expect("a key"))
                .iter()
                .map(PrivateKey::public_key)
                .collect();
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let generation = path.parent().expect("a directory");
        let in_store = STORES.iter().any(|store| generation.parent() == Some(&self.desk.path(store)));
        let Some(manifest) = manifest_in(generation).filter(|_| in_store) else { return Vec::new() };
        let held = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
        let named = held.filter(|key| name == members::SIGNING || name == members::private_key(&key.kid));
        named.map(|key| key.public_key).collect()
    }

    /// Where a key lies.
    fn places_of(&self, key: PublicKey) -> usize {
        let (_, traces) = self.keys.iter().find(|(known, _)| *known == key).expect("a known key");
        files_below(&self.desk.path("")).iter().filter(|(_, bytes)| traces.are_in(bytes)).count()
    }

    /// Learns the keys that are new; then, a private key is in its own files and in no other, a token in the file that
    /// it was asked into, and nothing is left over.
    fn search_files(&mut self, after: &str) {
        let root = self.desk.path("");
        let mut files = if self.live { Vec::new() } else { files_below(&root) };
        for store in STORES.iter().map(|store| self.desk.path(store)).filter(|_| self.live) {
            let inside =
                std::fs::read_dir(store).into_iter().flatten().map(|entry| entry.expect("an entry").path());
            files.extend(inside.filter(|path| is_generation(path)).flat_map(|path| files_below(&path)));
        }
        for (path, bytes) in &files {
            let Ok(key) = PrivateKey::from_pem(bytes) else { continue };
            let public = key.public_key();
            assert!(
                self.keys_of(path).contains(&public),
                "after {after} a private key is in {}",
                path.display()
            );
            if self.keys.iter().all(|(known, _)| *known != public) {
                self.keys.push((public, Traces::of_key(&key)));
            }
        }
        for (path, bytes) in &files {
            self.search_file(after, path, bytes);
        }
        if !self.live {
            self.assert_nothing_is_left(after);
        }
        self.files += files.len();
    }

    fn search_file(&self, after: &str, path: &Path, bytes: &[u8]) {
        let (own, shown) = (self.keys_of(path), path.display());
        for (public, traces) in &self.keys {
            let strange = traces.are_in(bytes) && !own.contains(public);
            assert!(!strange, "after {after} a private key is in {shown}");
        }
        let labelled = String::from_utf8_lossy(bytes).contains(LABEL);
        assert_eq!(labelled, !own.is_empty(), "after {after} in {shown}");
        for token in &self.tokens {
            let strange = token.traces.are_in(bytes) && !token.files.iter().any(|file| file == path);
            assert!(!strange, "after {after} a token is in {shown}");
        }
    }

    fn search_said(&self, by: &str, said: &[u8]) {
        let text = String::from_utf8_lossy(said);
        assert!(!text.contains(LABEL), "a private key was printed by {by}");
        for (_, traces) in &self.keys {
            assert!(!traces.are_in(said), "a private key's bytes were printed by {by}");
        }
        for token in &self.tokens {
            assert!(!token.traces.are_in(said), "a token was printed by {by}");
            // Of one of which nobody here knows: every header begins like this.
            assert!(!text.contains(&token.whole[..20]), "some token was printed by {by}");
        }
    }

    fn assert_nothing_is_left(&self, after: &str) {
        const KNOWN: [&str; 2] = ["..data", ".lock"];
        let root = self.desk.path("");
        for path in below(&root) {
            let inside = path.strip_prefix(&root).expect("below it");
            let name = inside.file_name().and_then(|name| name.to_str()).expect("text");
            let (parent, depth) = (inside.parent().expect("below it"), inside.components().count());
            let in_store = depth == 2 && STORES.iter().any(|store| parent == Path::new(store));
            let belongs = in_store && (KNOWN.contains(&name) || is_generation(&path));
            let temporary = name.starts_with('.') || name.contains(".new") || parent.starts_with("tmp");
            assert!(!temporary || belongs, "after {after} {} is left", inside.display());
        }
    }
}

fn manifest_in(generation: &Path) -> Option<Manifest> {
    let bytes = std::fs::read(generation.join(members::MANIFEST)).ok()?;
    Some(Manifest::from_json(&bytes).expect("a manifest"))
}

fn is_generation(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("..g")) && path.is_dir()
}

/// From the first key to one that is destroyed.
fn prepared_activated_and_pruned(watch: &mut Watch) {
    watch.changes("quick", &QUICK);
    let first = watch.manifest("quick").expect("a keyring").keys[0].public_key;
    watch.mints("quick", "quick-1", "tokens/quick-1");
    watch.changes("quick", &["prepare"]);
    watch.changes("quick", &["activate", "--offline"]);
    watch.mints_aloud("quick", "quick-2");
    assert!(watch.places_of(first) > 0, "so this finds it");
    // The old private key is kept for as long as plans may still name it: a second or two.
    while watch.places_of(first) > 0 {
        let generation = watch.manifest("quick").expect("a keyring").generation;
        let output = watch.run("quick", &["prune"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if watch.manifest("quick").expect("a keyring").generation > generation {
            watch.done.insert("prune".to_owned());
            assert_eq!(watch.places_of(first), 0, "what was destroyed is nowhere");
        }
    }
}

fn rolled_back_and_given_other_rules(watch: &mut Watch) {
    watch.changes("rolled", &["init"]);
    watch.mints("rolled", "rolled-1", "tokens/rolled-1");
    watch.changes("rolled", &EMERGENCY);
    watch.mints("rolled", "rolled-2", "tokens/rolled-2");
    watch.changes("rolled", &["rollback"]);
    watch.changes("rolled", &["set-policy", "leeway=9s"]);
    watch.mints_aloud("rolled", "rolled-3");
}

fn revoked_with_and_without_descendants(watch: &mut Watch) {
    watch.changes("revoked", &["init"]);
    watch.mints("revoked", "revoked-1", "tokens/revoked-1");
    let first = watch.signer("revoked");
    watch.changes("revoked", &EMERGENCY);
    watch.mints("revoked", "revoked-2", "tokens/revoked-2");
    watch.changes("revoked", &["revoke", &first, "--reason", "a test"]);
    let second = watch.signer("revoked");
    assert_ne!(first, second);
    watch.changes("revoked", &["revoke", &second, "--descendants", "--reason", "a test"]);
}

fn retired(watch: &mut Watch) {
    watch.changes("retired", &["init"]);
    let first = watch.signer("retired");
    watch.changes("retired", &EMERGENCY);
    watch.changes("retired", &["retire", &first, "--force", "--reason", "a test"]);
}

fn restored_and_reconciled(watch: &mut Watch) {
    watch.changes("reconciled", &["init"]);
    let (store, backup) = (watch.desk.path("reconciled"), watch.desk.path("backup"));
    let copied = std::process::Command::new("cp").arg("-a").args([&store, &backup]).status();
    assert!(copied.expect("cp runs").success());
    watch.changes("reconciled", &EMERGENCY);
    std::fs::remove_dir_all(&store).expect("removed");
    std::fs::rename(&backup, &store).expect("put back");
    watch.changes("reconciled", &["reconcile"]);
}

fn adopted(watch: &mut Watch) {
    let store = watch.desk.path("adopted");
    std::fs::create_dir(&store).expect("a directory");
    for (name, text) in openshell_key_set() {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(store.join(&name), text).expect("written");
        std::fs::set_permissions(store.join(&name), PermissionsExt::from_mode(0o600)).expect("closed");
    }
    watch.foreign = Some(store.join(members::SIGNING));
    watch.run("adopted", &["adopt", "--dry-run"]);
    assert_eq!(watch.keys.len(), 1, "OpenShell's");
    watch.changes("adopted", &["adopt", "--longest-token", "1h"]);
    watch.foreign = None;
    watch.mints("adopted", "adopted-1", "tokens/adopted-1");
    watch.changes("adopted", &EMERGENCY);
    watch.mints_aloud("adopted", "adopted-2");
}

/// Verbs that change nothing, and verbs that are refused, in a store with keys in every state.
fn told_and_refused(watch: &mut Watch) {
    let token = std::fs::read_to_string(watch.desk.path("tokens/rolled-2")).expect("a token");
    let commands = [
        "status",
        "doctor",
        "jwks",
        "jwks --pem",
        "verify tokens/rolled-1",
        "inspect tokens/rolled-1",
        "inspect rolled/signing.pem",
        "inspect rolled",
        "inspect rolled/keyring.json",
        "mint rolled-4 --dry-run",
        "mint rolled-4 --out tokens",
        "rotate --offline --timeout 1s",
        "rotate --emergency --dry-run",
        "plan revoke zzzz",
        "set-policy leeway=9s --dry-run",
        "set-policy leeway=9000h",
        "reconcile --dry-run",
        "prune",
        "revoke zzzz --reason none",
        "retire zzzz",
        "init",
        "adopt",
        "serve --print-config",
        "supervise --gateway nowhere --token-file tokens/rolled-1",
    ];
    for command in commands {
        watch.run("rolled", &command.split(' ').collect::<Vec<_>>());
    }
    for arguments in [["verify", token.trim()], ["inspect", token.trim()]] {
        watch.run("rolled", &arguments);
    }
}

#[test]
fn t48_no_verb_prints_or_leaves_a_private_key_or_a_token_as_text() {
    verbs("text");
}

#[test]
fn t48_no_verb_prints_or_leaves_a_private_key_or_a_token_as_json() {
    verbs("json");
}

fn verbs(format: &'static str) {
    let mut watch = Watch::new(format);
    adopted(&mut watch);
    prepared_activated_and_pruned(&mut watch);
    rolled_back_and_given_other_rules(&mut watch);
    revoked_with_and_without_descendants(&mut watch);
    retired(&mut watch);
    restored_and_reconciled(&mut watch);
    told_and_refused(&mut watch);
    assert!(watch.done.iter().eq(WRITING.iter()), "each was done once: {:?}", watch.done);
    assert!(watch.keys.len() >= 12 && watch.tokens.len() >= 9);
    println!(
        "{format}: {} runs, {} files searched for {} keys and {} tokens",
        watch.runs,
        watch.files,
        watch.keys.len(),
        watch.tokens.len()
    );
}

/// A gateway and a supervisor that log everything, and what they said.
struct Fleet {
    gateway: Running,
    gateway_log: Heard,
    url: String,
    supervisor: Running,
    supervisor_log: Heard,
    told: String,
}

impl Fleet {
    fn of(watch: &Watch) -> Self {
        let serve =
            ["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--report-interval=100ms"];
        let serve =
            [&serve[..], &["--replica=g1", "--log-level=trace", "--log-format", watch.format]].concat();
        let mut gateway = watch.desk.start(&[&watch.full("served", &serve)[..], &["--output=json"]].concat());
        let told = gateway.line();
        let report: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        let url = report["url"].as_str().expect("a URL").to_owned();
        let gateway_log = gateway.errors();
        let supervise =
            ["supervise", "--gateway", &url, "--token-file", "tokens/given", "--out", "live/token"];
        let mut supervisor = watch.desk.start(&watch.full("served", &supervise));
        let supervisor_log = supervisor.errors();
        Self { gateway, gateway_log, url, supervisor, supervisor_log, told }
    }
}

#[test]
fn t48_neither_a_gateway_nor_a_supervisor_logs_a_private_key_or_a_token() {
    for format in ["text", "json"] {
        served(format);
    }
}

fn served(format: &'static str) {
    let mut watch = Watch::new(format);
    let policy = ["--policy=token_ttl=5", "--policy=verifier_cache=0", "--policy=activation_lead=0"];
    watch.changes("served", &[&["init"][..], &policy].concat());
    std::fs::create_dir(watch.desk.path("live")).expect("a directory");
    let live = watch.desk.path("live/token");
    watch.mints("served", "served-1", "tokens/given");
    watch.tokens[0].files.push(live.clone());
    let mut fleet = Fleet::of(&watch);
    watch.live = true;
    let held = |watch: &mut Watch| {
        // It comes into the file a moment after it is told of.
        let known = watch.tokens.len();
        while watch.tokens.len() == known {
            std::thread::yield_now();
            let token = std::fs::read_to_string(&live).unwrap_or_default();
            if !token.is_empty() {
                watch.learn_token(&token, std::slice::from_ref(&live));
            }
        }
    };
    fleet.supervisor_log.until("fresh");
    for what in ["renewing", "fresh"] {
        fleet.supervisor_log.until(what);
    }
    held(&mut watch);
    watch.changes("served", &["rotate", "--timeout", "60s"]);
    let kid = watch.signer("served");
    // People are told the first letters of a kid.
    fleet.supervisor_log.until(if format == "json" { &kid } else { &kid[..8] });
    held(&mut watch);
    watch.mints("served", "served-2", "tokens/given-2");
    let program = ["supervise", "--gateway", &fleet.url, "--token-file", "tokens/given-2", "--", "/bin/true"];
    let ended = watch.run("served", &program);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let said = [fleet.told, fleet.supervisor.stop(), fleet.gateway.stop()].concat();
    let (gateway, supervisor) = (fleet.gateway_log.all(), fleet.supervisor_log.all());
    watch.live = false;
    watch.search_files("a rotation and a renewal");
    for said in [&said, &gateway, &supervisor] {
        watch.search_said("a gateway or a supervisor", said.as_bytes());
    }
    assert!(gateway.contains("loaded a new generation") && gateway.contains("refresh"), "{gateway}");
    assert!(watch.keys.len() == 2 && watch.tokens.len() == 4);
    let lines = [&gateway, &supervisor].map(|said| said.lines().count());
    println!("{format}: {} lines of a gateway, {} of a supervisor, 2 keys, 4 tokens", lines[0], lines[1]);
}
