//! The JSON Schema in the documentation is that of the manifest, and does not drift from it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod validator;
mod world;

use std::collections::BTreeSet;

use keystile_keyring::manifest::{
    Activation, DoneRequest, End, Lifetime, Operation, PrivateState, Revoked, Tombstone, limits,
};
use keystile_keyring::plan::{Mode, Verb};
use keystile_keyring::policy::{MEMBERS, PolicyBefore};
use keystile_keyring::{Manifest, Policy};
use serde_json::{Value, json};

use validator::validate;
use world::{Ring, kid, second, small};

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/manifest.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn stored(manifest: &Manifest) -> Value {
    let bytes = manifest.to_json().unwrap();
    assert_eq!(Manifest::from_json(&bytes).as_ref(), Ok(manifest), "it is a manifest");
    serde_json::from_slice(&bytes).unwrap()
}

/// Nothing that may be absent is there.
fn minimal() -> Manifest {
    let mut manifest = Ring::begin(small(), 100).manifest;
    manifest.tombstones =
        vec![Tombstone { kid: kid("old"), end: End::Retired, at: second(1), named_until: None }];
    let done = |id: &str| DoneRequest {
        request_id: id.parse().unwrap(),
        verb: "prune".to_owned(),
        generation: 1,
        at: second(1),
        kid: None,
    };
    manifest.requests = vec![done("1")];
    manifest
}

/// Everything that may be absent is there.
fn full() -> Manifest {
    let policy = Policy { rotate_every: Some(900), max_lineage_age: Some(900), ..small() };
    let mut ring = Ring::begin(policy, 100);
    ring.verb_with_id(Verb::Rotate { mode: Mode::Emergency, no_rollback: false }, "release-7", 110);
    ring.verb(Verb::Prepare { no_rollback: true }, 112);
    let mut manifest = ring.manifest;
    manifest.policy_before =
        Some(PolicyBefore { staleness: 5, skew: 5, verifier_cache: 5, until: second(200) });
    manifest.lineage_floor = Some(second(90));
    let operation = manifest.operation.take().unwrap();
    manifest.operation = Some(Operation { request_id: Some("release-8".parse().unwrap()), ..operation });
    manifest.tombstones =
        vec![Tombstone { kid: kid("old"), end: End::Revoked, at: second(1), named_until: Some(second(9)) }];
    let first = &mut manifest.keys[0];
    first.revoked = Some(Revoked { at: second(111), reason: "stolen".to_owned() });
    first.private = PrivateState::DestroyedAt(second(111));
    first.longest_token = Lifetime::Unbounded;
    manifest.timeline.push(Activation { from: second(110), kid: kid("b") });
    manifest
}

/// Every object of `value` with the schema that describes it.
fn objects<'a>(
    schema: &'a Value,
    root: &'a Value,
    value: &'a Value,
    found: &mut Vec<(&'a Value, &'a Value)>,
) {
    let schema = validator::resolve(schema, root);
    if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
        for alternative in alternatives.iter().filter(|one| validate(one, root, value).is_ok()) {
            objects(alternative, root, value, found);
        }
        return;
    }
    match value {
        Value::Object(members) => {
            found.push((schema, value));
            for (name, member) in members {
                objects(&schema["properties"][name], root, member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| objects(&schema["items"], root, item, found)),
        _ => {}
    }
}

fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn what_is_written_is_what_the_schema_describes() {
    let schema = schema();
    for manifest in [minimal(), full(), Ring::begin(Policy::default(), 100).manifest] {
        assert_eq!(validate(&schema, &schema, &stored(&manifest)), Ok(()));
    }
}

/// The members that may be there are those of the schema, at every depth.
#[test]
fn the_schema_has_every_member_and_no_other() {
    let (schema, value) = (schema(), stored(&full()));
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    objects(&schema, &schema, &value, &mut found);
    for (described, _) in &found {
        let title = described["description"].as_str().unwrap();
        let written: BTreeSet<_> = found
            .iter()
            .filter(|(other, _)| other["description"] == title)
            .flat_map(|(_, value)| names(value))
            .collect();
        assert_eq!(written, names(&described["properties"]), "{title}");
        seen.insert(title);
    }
    let definitions = schema["$defs"].as_object().unwrap().values();
    let objects = definitions.filter(|definition| definition["type"] == "object").count();
    assert_eq!(seen.len(), objects + 1, "every definition is in use");
}

/// The members that must be there are those that are always written.
#[test]
fn what_is_required_is_what_is_always_written() {
    let (schema, value) = (schema(), stored(&minimal()));
    let mut found = Vec::new();
    objects(&schema, &schema, &value, &mut found);
    for (described, value) in found {
        assert_eq!(names(value), names(&described["required"]), "{}", described["description"]);
    }
}

#[test]
fn the_ranges_are_those_of_the_policy() {
    let schema = schema();
    let described = schema["$defs"]["policy"]["properties"].as_object().unwrap();
    assert_eq!(described.len(), MEMBERS.len());
    for member in MEMBERS {
        let range = (described[member.name]["minimum"].as_u64(), described[member.name]["maximum"].as_u64());
        assert_eq!(range, (Some(member.min), Some(member.max)), "{}", member.name);
    }
    let former = &schema["$defs"]["policyBefore"]["properties"];
    for (name, of) in
        [("staleness", "max_staleness"), ("skew", "max_skew"), ("verifier_cache", "verifier_cache")]
    {
        assert_eq!(former[name]["maximum"], described[of]["maximum"], "{name}");
        assert_eq!(former[name]["minimum"], described[of]["minimum"], "{name}");
    }
}

#[test]
fn the_limits_are_those_of_the_manifest() {
    let schema = schema();
    let most =
        |list: &str| schema["properties"][list]["maxItems"].as_u64().and_then(|most| most.try_into().ok());
    assert_eq!(most("keys"), Some(limits::KEYS));
    assert_eq!(most("timeline"), Some(limits::ACTIVATIONS));
    assert_eq!(most("tombstones"), Some(limits::TOMBSTONES));
    assert_eq!(most("requests"), Some(limits::REQUESTS));
    assert_eq!(most("history"), Some(limits::HISTORY));
    assert_eq!(schema["$defs"]["text"]["maxLength"], limits::TEXT_BYTES);
    assert_eq!(schema["$defs"]["generation"]["maximum"], limits::GENERATION);
}

/// What the schema refuses, the parser refuses too.
#[test]
fn schema_and_parser_refuse_the_same() {
    let schema = schema();
    let damages: [(&str, Value); 19] = [
        ("/schema", json!("keystile/keyring/v2")),
        ("/gateway_id", json!("")),
        ("/gateway_id", json!("x".repeat(129))),
        ("/generation", json!(0)),
        ("/generation", json!(limits::GENERATION + 1)),
        ("/previous", json!("ABC")),
        ("/policy/max_skew", json!(301)),
        ("/policy/max_keys", json!(2)),
        ("/policy/token_ttl", json!(-1)),
        ("/policy_before/staleness", json!(0)),
        ("/keys", json!([])),
        ("/keys/0/alg", json!("RS256")),
        ("/keys/0/kid", json!("a b")),
        ("/keys/0/origin", json!("found")),
        ("/keys/0/private", json!("lost")),
        ("/keys/0/longest_token", json!("for ever")),
        ("/keys/0/never_expires", json!("no")),
        ("/tombstones/0/end", json!("lost")),
        ("/history/0/actor", json!("x".repeat(257))),
    ];
    for (place, value) in damages {
        let mut broken = stored(&full());
        *broken.pointer_mut(place).unwrap() = value;
        assert!(validate(&schema, &schema, &broken).is_err(), "the schema takes {place}");
        let bytes = serde_json::to_vec(&broken).unwrap();
        assert!(Manifest::from_json(&bytes).is_err(), "the parser takes {place}");
    }
}

#[test]
fn schema_and_parser_refuse_unknown_members() {
    let (schema, value) = (schema(), stored(&full()));
    for place in
        ["", "/policy", "/policy_before", "/keys/0", "/keys/0/superseded", "/keys/0/revoked", "/operation"]
    {
        let mut damaged = value.clone();
        damaged.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("extra".to_owned(), json!(1));
        assert!(validate(&schema, &schema, &damaged).is_err(), "the schema takes {place}/extra");
        assert!(Manifest::from_json(&serde_json::to_vec(&damaged).unwrap()).is_err(), "{place}/extra");
    }
}
