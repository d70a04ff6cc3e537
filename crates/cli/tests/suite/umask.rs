//! A program that masks no permission bit still leaves to others nothing to write, and no secret to read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::process::Desk;
use crate::traces::{LABEL, below};

fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

/// What every verb that makes files leaves behind in a directory that anybody may enter.
fn lived() -> Desk {
    let desk = Desk::new().unmasked();
    desk.ends(0, &["man", "--out", "pages"]);
    assert_eq!(mode_of(&desk.path("pages")), 0o777, "nothing is masked");
    std::fs::remove_dir_all(desk.path("pages")).expect("removed");
    desk.ends(0, &["init", "--policy", "verifier_cache=0", "--policy", "activation_lead=0"]);
    desk.ends(0, &["mint", "sandbox-1", "--out", "tokens/given"]);
    desk.ends(0, &["certgen", "--sandbox", "sandbox-1"]);
    let (gateway, url) = desk.serve("g1");
    desk.ends(0, &["rotate", "--timeout", "60s"]);
    std::fs::create_dir(desk.path("live")).expect("a directory");
    std::fs::set_permissions(desk.path("live"), PermissionsExt::from_mode(0o755)).expect("set");
    let from = ["supervise", "--gateway", &url, "--token-file", "tokens/given"];
    // The program sees the token's file, and the directory that is made for it where none is named.
    let look = "stat -c %a \"$KEYSTILE_TOKEN_FILE\" \"${KEYSTILE_TOKEN_FILE%/*}\"";
    for (out, modes) in [(&["--out", "live/token"][..], "600\n755\n"), (&[], "600\n700\n")] {
        let said = desk.run(&[&from[..], out, &["--", "/bin/sh", "-c", look]].concat());
        assert_eq!(String::from_utf8_lossy(&said.stdout), modes, "{}", String::from_utf8_lossy(&said.stderr));
    }
    gateway.stop();
    desk
}

#[test]
fn no_mask_opens_a_secret_or_lets_others_write() {
    let desk = lived();
    let (root, mut secrets) = (desk.path(""), Vec::new());
    for path in below(&root).iter().filter(|path| !path.is_symlink()) {
        let (mode, inside) = (mode_of(path), path.strip_prefix(&root).expect("below it"));
        assert_eq!(mode & 0o022, 0, "{} can be written by others: {mode:o}", inside.display());
        let bytes = if path.is_file() { std::fs::read(path).expect("a file") } else { Vec::new() };
        let text = String::from_utf8_lossy(&bytes);
        if text.contains(LABEL) || text.starts_with("ey") {
            assert_eq!(mode, 0o600, "{}", inside.display());
            secrets.push(inside.display().to_string());
        }
    }
    let named = |part: &str| secrets.iter().filter(|name| name.contains(part)).count();
    let kinds = ["signing.pem", "key-", "ca.key", "tls.key", "tokens/given", "live/token"].map(named);
    assert!(kinds.iter().all(|count| *count > 0), "each kind is there: {secrets:?}");
    for directory in ["keystile", "tokens", "tls", "tls/server", "tls/client"] {
        assert_eq!(mode_of(&desk.path(directory)), 0o700, "{directory}");
    }
    for (file, what) in [("keystile.witness.json", "the witness"), ("keystile/keyring.json", "the manifest")]
    {
        let path = std::fs::canonicalize(desk.path(file)).expect(what);
        assert_eq!(mode_of(&path), 0o644, "{what}");
    }
    println!("{} files with a secret, each 0600", secrets.len());
}
