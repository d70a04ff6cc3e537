//! The documents of `--output json`, compared with the members that `docs/reference/json.md` tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::story::Stage;

const PAGE: &str = include_str!("../../../../docs/reference/json.md");

/// What takes too long for a walk, as it was agreed on.
const AGREED: [(&str, &str); 2] = [
    (
        "keystile/rehearsal/v1",
        include_str!(
            "../../../rehearsal/src/report/html/snapshots/\
             keystile_rehearsal__report__html__tests__the_document_is_as_it_was_agreed_on.snap"
        ),
    ),
    (
        "keystile/simulation/v1",
        include_str!("../../../simulation/tests/snapshots/golden__the_document_is_as_it_was_agreed_on.snap"),
    ),
];

/// The members that the page tells of each schema, below its chapter "Members".
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let (_, chapter) = PAGE.split_once("\n## Members\n").expect("the chapter");
    let sections = chapter.split("\n### `").skip(1);
    let section = |section: &str| {
        let (schema, rows) = section.split_once('`').expect("a schema");
        let cells = rows.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let names = cells.flat_map(|cell| cell.split(", "));
        (schema.to_owned(), names.map(|name| name.trim_matches('`').to_owned()).collect())
    };
    sections.map(section).collect()
}

/// The members of `value` that hold something, as the page writes them.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members_of) => {
            for (name, value) in members_of {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                members(value, &path, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                members(item, &format!("{path}[]"), found);
            }
        }
        Value::Null => {}
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The member of the page that tells `path`: itself, or one that ends with `.*` above it.
fn teller<'a>(told: &'a BTreeSet<String>, path: &str) -> Option<&'a String> {
    let tells = |member: &&String| match member.strip_suffix('*') {
        Some(above) => path.starts_with(above),
        None => *member == path,
    };
    told.iter().find(tells)
}

/// Commands that give every document, and each member of it, at least once.
const WALK: &str = "\
keystile init --policy rotate_every=30d
keystile status
replicas gateway-0
keystile mint sandbox-1 --dry-run
keystile mint sandbox-1
keystile mint sandbox-1 --out ./token
keystile verify ./token
keystile inspect ./token
keystile prepare --request-id r-1
keystile status
replicas gateway-0@1
keystile rotate --dry-run
keystile rotate --no-wait
keystile status
replicas gateway-0
keystile status
sleep 20m
replicas gateway-0
keystile activate
sleep 2m
replicas gateway-0 gateway-1@1
keystile status
keystile doctor
keystile revoke b61f --reason stolen
keystile verify ./token
keystile status
keystile prune
keystile reconcile --dry-run
keystile reconcile
keystile set-policy max_keys=9
keystile retire
keystile verify nothing
keystile verify ./nothing
keystile status --store ./nowhere
keystile init --store ./keys
keystile doctor --store ./keys
keystile inspect ./keys
keystile inspect ./keys/keyring.json
keystile inspect ./keys/public.pem
openshell-generate-certs adopted
keystile adopt --store adopted
sleep 40d
keystile reconcile --dry-run
keystile certgen ./tls --dry-run
keystile serve --print-config
keystile rehearse --dry-run
keystile simulate --dry-run";

/// The documents of the walk.
fn documents() -> Vec<(String, Value)> {
    let mut stage = Stage::new();
    let mut documents = Vec::new();
    for command in WALK.lines() {
        if !command.starts_with("keystile ") {
            stage.perform(command);
            continue;
        }
        let said = stage.keystile(&format!("{command} --output json"));
        let text = match said.strip_prefix("? ") {
            Some(said) => said.split_once('\n').expect("an exit code").1,
            None => &said,
        };
        let document = serde_json::from_str(text);
        documents.push((command.to_owned(), document.unwrap_or_else(|_| panic!("{command}: {said}"))));
    }
    for (schema, snapshot) in AGREED {
        let (_, json) = snapshot.split_once("\n---\n").expect("a snapshot");
        let mut document: Value = serde_json::from_str(json).expect(schema);
        document["schema"] = schema.into();
        documents.push((schema.to_owned(), document));
    }
    documents
}

#[test]
fn every_member_of_every_document_is_told_and_every_member_that_is_told_is_there() {
    let told = documented();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (command, mut document) in documents() {
        let schema = document["schema"].take();
        let schema = schema.as_str().unwrap_or_else(|| panic!("{command}: no schema"));
        let told = told.get(schema).unwrap_or_else(|| panic!("{command}: {schema} is not told"));
        let mut found = BTreeSet::new();
        members(&document, "", &mut found);
        for path in found {
            let teller = teller(told, &path).unwrap_or_else(|| panic!("{command}: {path} is not told"));
            seen.entry(schema.to_owned()).or_default().insert(teller.clone());
        }
    }
    // What follows goes on while it answers: tests of processes look at it.
    let of_processes = ["keystile/serve/v1", "keystile/supervise/v1"];
    // The replicas of stories report no such token, and no command mints one that lacks a claim.
    let of_others = [
        // Of the rehearsal and the simulation that were agreed on nobody went elsewhere, or made a mistake there.
        "keystile/rehearsal/v1 baseline.*",
        "keystile/rehearsal/v1 figures.no_answer[].count",
        "keystile/rehearsal/v1 figures.no_answer[].reason",
        "keystile/rehearsal/v1 figures.reached[].seconds",
        "keystile/simulation/v1 mistakes[]",
        "keystile/status/v1 keys[].usage.never_expires[]",
        "keystile/verify/v1 claim",
    ];
    let mut never = Vec::new();
    for (schema, told) in told.iter().filter(|(schema, _)| !of_processes.contains(&schema.as_str())) {
        let seen = seen.remove(schema).unwrap_or_default();
        never.extend(told.difference(&seen).map(|member| format!("{schema} {member}")));
    }
    never.sort();
    assert_eq!(never, of_others, "told, and never there");
}

#[test]
fn every_error_says_what_to_do() {
    let mut errors = 0;
    for (command, document) in documents() {
        if document["schema"] == "keystile/error/v1" {
            assert!(
                document["remedy"].is_string() || document["expected"].is_string(),
                "{command}: {document}"
            );
            errors += 1;
        }
    }
    assert!(errors >= 5, "{errors}");
}

/// Whatever a long-running verb says once is told too.
pub(crate) fn assert_told(mut document: Value) {
    let told = documented();
    let schema = document["schema"].take();
    let told = &told[schema.as_str().expect("a schema")];
    let mut found = BTreeSet::new();
    members(&document, "", &mut found);
    let untold: Vec<_> = found.iter().filter(|path| teller(told, path).is_none()).collect();
    assert!(untold.is_empty(), "{schema}: {untold:?}");
}

#[test]
fn every_schema_in_the_table_has_its_members() {
    let told = documented();
    let (_, table) = PAGE.split_once("| `schema` | answers |").expect("the table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    let schemas = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let untold: Vec<_> = schemas.filter(|schema| !told.contains_key(*schema)).collect();
    assert!(untold.is_empty(), "{untold:?}");
}
