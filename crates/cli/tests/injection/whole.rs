//! What must hold of a directory that `reconcile` has mended, whatever befell it before.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

use keystile_keyring::Manifest;
use keystile_keyring::manifest::PrivateState;
use keystile_store::members;
use keystile_token::PrivateKey;

use crate::desk::Desk;

/// Of a key file, whatever it is named.
const MARK: &[u8] = b"PRIVATE KEY";

impl Desk {
    /// Mended by reconcile, the directory holds what its manifest says and nothing else, and it can be changed.
    pub(crate) fn assert_goes_on(&self, what: &str) {
        let mended = self.run(&["reconcile", "--output", "json"]);
        if !mended.status.success() {
            // A rotation in flight that waits for a fleet, and there is none. To go on without one would take as long as
            // outside verifiers' caches last; to go back takes nothing.
            let said = String::from_utf8_lossy(&mended.stderr);
            assert!(said.contains(r#""code": "no-replicas""#), "{what}: {said}");
            assert!(said.contains("keystile rotate --offline"), "{what}: {said}");
            self.json(&["rollback"]);
            self.json(&["reconcile"]);
        }
        let manifest = self.manifest().expect("a keyring");
        self.assert_nothing_left(&manifest, what);
        self.assert_private_keys(&manifest, what);
        let mut minted = self.run(&["mint", "demo"]);
        // A revocation with its descendants refuses what is minted in its own second.
        while String::from_utf8_lossy(&minted.stderr).contains("mint again in 1 s") {
            minted = self.run(&["mint", "demo"]);
        }
        assert!(minted.status.success(), "{what}: {}", String::from_utf8_lossy(&minted.stderr));
        assert!(self.single_key_reader(what), "{what}: no single-key members after reconcile");
        self.json(&["set-policy", "leeway=13s"]);
    }

    /// Everything below the test's directory is accounted for: the witness, the links, the newest generation and
    /// perhaps the one before it.
    fn assert_nothing_left(&self, newest: &Manifest, what: &str) {
        let data = std::fs::read_link(self.path("keystile/..data")).expect("a link");
        let data = data.to_str().expect("text");
        let mut expected = BTreeSet::from(["keystile".to_owned(), "keystile.witness.json".to_owned()]);
        let outer = ["..data", ".lock", members::MANIFEST].into_iter().chain(members::MIRROR);
        expected.extend(outer.map(|name| format!("keystile/{name}")));
        expected.extend(files_of(data, newest));
        let found = self.listing();
        let generations = found.iter().filter_map(|path| path.strip_prefix("keystile/"));
        let generations = generations.filter(|name| name.starts_with("..g") && !name.contains('/'));
        let others: Vec<_> = generations.filter(|name| *name != data).collect();
        assert!(others.len() < 2, "{what}: {others:?} besides {data}");
        for other in others {
            let bytes = std::fs::read(self.path("keystile").join(other).join(members::MANIFEST));
            let bytes = bytes.unwrap_or_else(|error| panic!("{what}: {other} has no manifest: {error}"));
            let before = Some(keystile_token::digest(&bytes));
            assert_eq!(before, newest.previous, "{what}: {other} is not the one before");
            expected.extend(files_of(other, &Manifest::from_json(&bytes).expect("a whole manifest")));
        }
        let extra: Vec<_> = found.difference(&expected).collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(extra.is_empty() && missing.is_empty(), "{what}: left over {extra:?}, missing {missing:?}");
        self.assert_one_owner(&found, what);
    }

    /// Whoever owns the directory can read all of it, also where root wrote it.
    fn assert_one_owner(&self, found: &BTreeSet<String>, what: &str) {
        let owner = std::fs::metadata(self.path("keystile")).expect("it is there").uid();
        for path in found {
            let of = std::fs::symlink_metadata(self.path(path)).expect("it is there");
            assert!(of.is_symlink() || of.uid() == owner, "{what}: {path} is user {}'s", of.uid());
        }
    }

    /// Each key that the manifest calls present is in its file, and in no file is any other.
    fn assert_private_keys(&self, newest: &Manifest, what: &str) {
        let present = || newest.keys.iter().filter(|key| key.private == PrivateState::Present);
        for key in present() {
            let name = members::private_key(&key.kid);
            let pem = std::fs::read(self.path("keystile/..data").join(&name)).expect("a private key");
            let private = PrivateKey::from_pem(&pem).expect("a private key");
            assert_eq!(private.public_key(), key.public_key, "{what}: {name}");
        }
        for path in self.listing() {
            let at = self.path(&path);
            if !std::fs::symlink_metadata(&at).expect("it is there").is_file() {
                continue;
            }
            let bytes = std::fs::read(&at).expect("read");
            if bytes.windows(MARK.len()).any(|window| window == MARK) {
                let public = PrivateKey::from_pem(&bytes).expect("a whole private key").public_key();
                assert!(present().any(|key| key.public_key == public), "{what}: {path} is of no present key");
            }
        }
    }

    /// Bytes of the longest file in the newest generation and of the witness, which is as long as its manifest.
    pub(crate) fn longest_file(&self) -> usize {
        let entries = std::fs::read_dir(self.path("keystile/..data")).expect("a directory");
        let bytes = entries.map(|entry| entry.expect("an entry").metadata().expect("it is there").len());
        usize::try_from(bytes.max().unwrap_or_default()).expect("a length")
    }

    /// Every path below the test's directory.
    fn listing(&self) -> BTreeSet<String> {
        let root = self.path("");
        let mut found = BTreeSet::new();
        let mut waiting = vec![root.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(&directory).expect("a directory") {
                let entry = entry.expect("an entry");
                let path = entry.path();
                let shown = path.strip_prefix(&root).expect("below it").to_str().expect("text");
                found.insert(shown.to_owned());
                if entry.file_type().expect("a type").is_dir() {
                    waiting.push(path);
                }
            }
        }
        found
    }
}

/// What a generation with this manifest consists of.
fn files_of(directory: &str, manifest: &Manifest) -> Vec<String> {
    let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
    let keys = present.map(|key| members::private_key(&key.kid));
    let flat = members::MIRROR.into_iter().chain([members::MANIFEST]).map(str::to_owned);
    let files = keys.chain(flat).map(|name| format!("keystile/{directory}/{name}"));
    files.chain([format!("keystile/{directory}")]).collect()
}
