//! What must never be said: a private key, or a token but where it is the point.

use crate::story::Stage;

/// Runs a command, notes what it says, and returns it.
struct Scribe {
    stage: Stage,
    said: String,
}

impl Scribe {
    fn run(&mut self, command: &str) -> String {
        let said = self.stage.keystile(command);
        self.said.push_str(&said);
        said
    }
}

#[test]
fn t48_no_verb_prints_a_private_key_or_a_token_but_mint() {
    let mut scribe = Scribe { stage: Stage::new(), said: String::new() };
    scribe.run("keystile init --store ./keys --policy verifier_cache=0");
    scribe.stage.tell("```console\n$ cp keys/signing.pem stolen.pem\n```\n");
    scribe.run("keystile mint sandbox-1 --store ./keys --out ./token");
    let token = scribe.stage.tell("```console\n$ cat token\n```\n");
    let token = token.lines().nth(2).expect("a token").to_owned();
    assert!(token.starts_with("ey"), "{token}");
    for format in ["text", "json"] {
        for command in [
            "rotate --offline",
            "status",
            "doctor",
            "jwks",
            "jwks --pem",
            "verify ./token",
            "inspect ./token",
            "inspect ./stolen.pem",
            "inspect ./keys",
            "inspect ./keys/keyring.json",
            "mint sandbox-1 --dry-run",
            "mint sandbox-1 --out ./another",
            "rollback",
            "rotate --emergency",
            "set-policy leeway=30s",
            "reconcile",
            "prune",
            "revoke zzzz",
            "retire zzzz",
            "serve --print-config",
        ] {
            scribe.run(&format!("keystile {command} --store ./keys --output {format} -vv"));
        }
    }
    let signature = token.rsplit('.').next().expect("a signature");
    assert!(!scribe.said.contains(signature), "a token's signature was printed");
    assert!(!scribe.said.contains("PRIVATE KEY"), "a private key was printed");
    let pems = scribe.stage.tell("```console\n$ cat stolen.pem\n```\n");
    let body = pems.lines().find(|line| line.starts_with("MC4CAQ")).expect("a PKCS#8 body");
    let seed = &body[body.len() - 43..];
    assert!(!scribe.said.contains(&seed[..40]), "a private key's bytes were printed");
    assert!(!scribe.said.is_empty());
}
