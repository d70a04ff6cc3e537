//! Those who only read, put to a store as a fault left it: a gateway of Keystile's, and one that knows a single key.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use keystile_keyring::Kid;
use keystile_store::mirrored_kid;
use keystile_system::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::desk::{Desk, PATIENCE, PROGRAM};

const ISSUER: &str = "openshell-gateway:openshell";

impl Desk {
    /// Starts a real gateway, which is killed at once: the generation that it serves and is ready with, or why it
    /// does not start.
    pub(crate) fn gateway(&self) -> Result<u64, String> {
        let reports = self.path("keystile/replicas");
        assert!(!reports.exists(), "no gateway was here before");
        // However this test ends, the gateway does.
        let mut command = Command::new("timeout");
        let serve = ["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--output=json"];
        let patience = PATIENCE.as_secs().to_string();
        let arguments = [&["--signal=KILL", &patience, PROGRAM][..], &serve].concat();
        self.prepare(&mut command, &arguments.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = piped.spawn().expect("timeout runs");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        lines.read_line(&mut line).expect("text");
        let report: Option<Value> = serde_json::from_str(&line).ok();
        let answer = report.as_ref().map(|report| readiness(report["url"].as_str().expect("a URL")));
        kill_process_group(Pid::from_child(&child), Signal::KILL).expect("it is not waited for yet");
        let said = child.wait_with_output().expect("it ends").stderr;
        // Its report would hold up the next rotation for as long as a live replica's does.
        if reports.exists() {
            std::fs::remove_dir_all(&reports).expect("removed");
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        match (report, answer) {
            (Some(report), Some(answer)) if answer.starts_with("HTTP/1.1 200 ") => {
                Ok(report["generation"].as_u64().expect("a number"))
            }
            (_, answer) => Err(format!("{}\n{said}", answer.unwrap_or_default())),
        }
    }

    /// Reads what a stock gateway with one key does at its start, signs with the private key, and verifies with
    /// the public one. Whether the three members are there; one or two of them never are.
    pub(crate) fn single_key_reader(&self, what: &str) -> bool {
        let members = ["signing.pem", "public.pem", "kid"].map(|name| {
            match std::fs::read(self.path("keystile").join(name)) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                read => Some(read.expect("a member")),
            }
        });
        let [Some(private), Some(public), Some(kid)] = members else {
            let there = members.map(|member| member.is_some());
            assert_eq!(there, [false; 3], "{what}: signing.pem, public.pem, kid");
            return false;
        };
        let kid = String::from_utf8(kid).expect("text").trim().to_owned();
        let private = EncodingKey::from_ed_pem(&private).expect("a private key");
        let public = DecodingKey::from_ed_pem(&public).expect("a public key");
        let sub = "spiffe://openshell/sandbox/demo";
        let claims =
            json!({"sub": sub, "iss": ISSUER, "aud": ISSUER, "iat": 1, "exp": 0, "sandbox_id": "demo"});
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, &private).expect("a token");
        let named = decode_header(&token).expect("a header").kid;
        assert_eq!(named.as_ref(), Some(&kid), "{what}");
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.validate_exp = false;
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[ISSUER]);
        let verified = decode::<Value>(&token, &public, &rules);
        let verified = verified.unwrap_or_else(|error| panic!("{what}: the keys are no pair: {error}"));
        assert_eq!(verified.claims, claims, "{what}");
        if let Some(manifest) = self.manifest() {
            let signs = mirrored_kid(&manifest, SystemClock::default().now());
            assert_eq!(signs.as_ref().map(Kid::as_str), Some(kid.as_str()), "{what}: the key that signs");
        }
        true
    }
}

/// What a gateway says when it is asked whether it is ready.
fn readiness(url: &str) -> String {
    let address = url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let question = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
