//! The members of a stored generation: flat names, the same in a directory and in a Kubernetes Secret.

use keystile_keyring::{Kid, ReplicaId, ReplicaReport, UnixTime};

/// The manifest.
pub const MANIFEST: &str = "keyring.json";
/// The mirror's private key (PKCS#8 PEM), as a single-key gateway reads it.
pub const SIGNING: &str = "signing.pem";
/// The mirror's public key (SPKI PEM).
pub const PUBLIC: &str = "public.pem";
/// The mirror's kid, without a newline.
pub const KID: &str = "kid";
/// The three members that a single-key gateway reads.
pub const MIRROR: [&str; 3] = [SIGNING, PUBLIC, KID];

/// Limits on what is read.
pub mod limits {
    /// Bytes of a key or kid member.
    pub const KEY_BYTES: usize = 8 * 1024;
    /// Bytes of a replica's report.
    pub const REPORT_BYTES: usize = 64 * 1024;
    /// Reports that one call reads.
    pub const REPORTS: usize = 1024;
}

/// The name of a member: `prefix`, as much of `text` as can be shown, its hash, `suffix`.
///
/// The hash alone tells two texts apart; the readable part is for people. Only `[-._a-zA-Z0-9]`
/// occur, and the longest name has 145 bytes, within the 253 that a Secret allows.
fn member(prefix: &str, text: &str, suffix: &str) -> String {
    const SHOWN: usize = 64;
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() || byte == b'-' { char::from(byte) } else { '_' };
    let shown: String = text.bytes().take(SHOWN).map(plain).collect();
    let hash: String = keystile_token::digest(text.as_bytes()).to_string().chars().take(32).collect();
    format!("{prefix}{shown}-{hash}{suffix}")
}

/// The member that holds the private key of `kid`.
pub fn private_key(kid: &Kid) -> String {
    member("key-", kid.as_str(), ".pem")
}

/// Whether `name` is one that [`private_key`] gives to some kid.
pub fn is_private_key(name: &str) -> bool {
    name.strip_prefix("key-").and_then(|rest| rest.strip_suffix(".pem")).is_some()
}

/// The file that holds the report of `replica`.
pub fn report(replica: &ReplicaId) -> String {
    member("", replica.as_str(), ".json")
}

/// What stands in for the reports that are not read where `found` are there.
pub fn beyond_the_limit(found: usize, now: UnixTime) -> Option<ReplicaReport> {
    let more = found.checked_sub(limits::REPORTS).filter(|more| *more > 0)?;
    let why = format!("{found} reports are there, and {} are read", limits::REPORTS);
    Some(ReplicaReport::unreadable(&format!("{more}-more"), now, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kid(text: &str) -> Kid {
        Kid::new(text).expect("a kid")
    }

    fn flat(name: &str) -> bool {
        name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    }

    #[test]
    fn a_kid_of_openshell_can_be_recognised_in_the_name() {
        let name = private_key(&kid("8b98b466b41b262d59d2ae88f8cf65d0"));
        assert!(name.starts_with("key-8b98b466b41b262d59d2ae88f8cf65d0-"), "{name}");
        assert!(is_private_key(&name));
    }

    #[test]
    fn any_kid_gives_a_flat_name() {
        let all: String = (0x21..=0x7e_u8).map(char::from).collect();
        let longest = "~".repeat(Kid::MAX);
        for text in [all.as_str(), longest.as_str(), "../../etc/passwd", ".", "..", "/", "a"] {
            let name = private_key(&kid(text));
            assert!(flat(&name), "{name}");
            assert!(is_private_key(&name), "{name}");
        }
    }

    #[test]
    fn kids_that_look_alike_have_names_of_their_own() {
        let long = "a".repeat(100);
        let alike = ["a/b", "a_b", "a.b", "a+b", &long, &format!("{long}b")];
        let names: std::collections::HashSet<_> = alike.iter().map(|text| private_key(&kid(text))).collect();
        assert_eq!(names.len(), alike.len());
    }

    #[test]
    fn a_replica_cannot_name_a_file_outside_its_directory() {
        let replica = ReplicaId::new("../../../etc/cron.d/x").expect("a replica id");
        assert!(flat(&report(&replica)));
        assert!(!report(&replica).starts_with('.'), "hidden files are temporary ones");
    }
}
