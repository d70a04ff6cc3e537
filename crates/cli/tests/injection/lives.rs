//! The verbs that write, each with the life of a keyring up to it.

use crate::desk::Desk;

/// A verb that writes.
pub(crate) struct Life {
    pub(crate) name: &'static str,
    /// Lives up to it, and says how it is called.
    pub(crate) prepare: fn(&Desk) -> Vec<String>,
}

const EMERGENCY: [&str; 4] = ["rotate", "--emergency", "--reason", "a test"];
/// Nothing has to be waited for.
const QUICK: [&str; 8] = [
    "--policy=token_ttl=1",
    "--policy=leeway=0",
    "--policy=max_skew=0",
    "--policy=rollback_custody=0",
    "--policy=max_staleness=1",
    "--policy=commit_delay=1",
    "--policy=verifier_cache=0",
    "--policy=activation_lead=0",
];

pub(crate) const LIVES: &[Life] = &[
    Life { name: "init", prepare: |_| words(&["init"]) },
    Life { name: "prepare", prepare: |desk| after(desk, &[&["init"]], &["prepare"]) },
    Life {
        name: "activate",
        prepare: |desk| {
            let init = [&["init"][..], &QUICK].concat();
            after(desk, &[&init, &["prepare"]], &["activate", "--offline"])
        },
    },
    Life { name: "rotate", prepare: |desk| after(desk, &[&["init"]], &EMERGENCY) },
    Life {
        // Root gives what it writes to the directory's owner; for anybody else this is a rotation like the other.
        name: "rotate of another user's",
        prepare: |desk| {
            after(desk, &[&["init"]], &[]);
            let paths = ["keystile", "keystile.witness.json"].map(|name| desk.path(name));
            let given = std::process::Command::new("chown").args(["-R", "65534:65534"]).args(paths).output();
            let _ = given.expect("chown runs");
            words(&EMERGENCY)
        },
    },
    Life { name: "rollback", prepare: |desk| after(desk, &[&["init"], &EMERGENCY], &["rollback"]) },
    Life {
        name: "revoke",
        prepare: |desk| {
            after(desk, &[&["init"], &EMERGENCY], &[]);
            let kid = desk.json(&["status"])["active"].as_str().expect("a kid").to_owned();
            words(&["revoke", &kid, "--descendants", "--reason", "a test"])
        },
    },
    Life {
        name: "retire",
        prepare: |desk| {
            after(desk, &[&["init"]], &[]);
            let kid = desk.json(&["status"])["active"].as_str().expect("a kid").to_owned();
            after(desk, &[&EMERGENCY], &["retire", &kid, "--force", "--reason", "a test"])
        },
    },
    Life {
        name: "prune",
        prepare: |desk| {
            let init = [&["init"][..], &QUICK].concat();
            after(desk, &[&init, &EMERGENCY], &[]);
            // The old private key is kept for as long as plans may still name it: a second or two.
            while desk.json(&["prune", "--dry-run"])["outcome"] != "would-change" {
                std::thread::yield_now();
            }
            words(&["prune"])
        },
    },
    Life { name: "set-policy", prepare: |desk| after(desk, &[&["init"]], &["set-policy", "leeway=9s"]) },
    Life {
        name: "adopt",
        prepare: |desk| {
            after(desk, &[&["init"]], &[]);
            // What a gateway with one key has: its three files, and nothing else.
            for name in ["kid", "public.pem", "signing.pem"] {
                std::fs::copy(desk.path("keystile").join(name), desk.path(name))
                    .expect("copied, with its mode");
            }
            std::fs::remove_dir_all(desk.path("keystile")).expect("removed");
            std::fs::remove_file(desk.path("keystile.witness.json")).expect("removed");
            std::fs::create_dir(desk.path("keystile")).expect("made");
            for name in ["kid", "public.pem", "signing.pem"] {
                std::fs::rename(desk.path(name), desk.path("keystile").join(name)).expect("moved");
            }
            words(&["adopt", "--longest-token", "1h"])
        },
    },
    Life {
        name: "reconcile",
        prepare: |desk| {
            after(desk, &[&["init"]], &[]);
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([desk.path("keystile"), desk.path("backup")])
                .status();
            assert!(copied.expect("cp runs").success());
            after(desk, &[&["set-policy", "leeway=7s"]], &[]);
            desk.restore("backup", "keystile");
            words(&["reconcile"])
        },
    },
];

/// Lives, then says how the next command is called.
fn after(desk: &Desk, life: &[&[&str]], next: &[&str]) -> Vec<String> {
    for command in life {
        let output = desk.run(command);
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    words(next)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
