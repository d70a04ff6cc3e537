//! SHA-256: digests of manifests, and the kid of a key.

use aws_lc_rs::digest::{SHA256, digest as hash};
use keystile_keyring::{Digest, Kid, PublicKey};

use crate::public_key::to_spki;

/// SHA-256 of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(leading(hash(&SHA256, bytes).as_ref()))
}

/// The kid that Keystile and OpenShell give a key: the first 16 bytes of the SHA-256 of its
/// `SubjectPublicKeyInfo`, in lowercase hexadecimal. An adopted key may have another.
pub fn kid_of(public_key: &PublicKey) -> Kid {
    Kid::from_fingerprint(&leading(hash(&SHA256, &to_spki(public_key)).as_ref()))
}

fn leading<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (out, byte) in out.iter_mut().zip(bytes) {
        *out = *byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b"").to_string(), empty);
    }

    #[test]
    fn the_kid_is_the_one_openshell_gives() {
        let public_key: PublicKey =
            "87451685c6690fee60124a0b539381b2acd32d5bb7e29c9775b892e5960c283f".parse().unwrap();
        assert_eq!(kid_of(&public_key).as_str(), "8b98b466b41b262d59d2ae88f8cf65d0");
    }
}
