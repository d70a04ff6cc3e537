//! What was answered, as the book prints it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::callers::Everybody;
use super::endpoints::Endpoint;
use super::wire::Call;
use super::{ASKED, Answer, Answers};
use crate::world::SANDBOX;

const BEGIN: &str = "<!-- answered -->\n";
const END: &str = "<!-- end -->\n";

/// Fails if the book says something else, and says where what it should say is.
pub fn holds(made: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/authorisation.md");
    let text = std::fs::read_to_string(&page).expect("the page is there");
    let (before, rest) = text.split_once(BEGIN).expect("a mark");
    let (found, after) = rest.split_once(END).expect("a mark");
    if found == made {
        return;
    }
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authorisation.md");
    std::fs::write(&new, format!("{before}{BEGIN}{made}{END}{after}")).expect("it is written");
    let other = made.lines().filter(|line| !found.lines().any(|known| known == *line));
    let other: Vec<_> = other.collect();
    panic!(
        "{} says something else than what was answered:\n{}\nIf that is as it should be: cp {} {}",
        page.display(),
        other.join("\n"),
        new.display(),
        page.display()
    );
}

/// Everything, as Markdown.
pub fn text(everybody: &Everybody, seen: &[(Endpoint, Answers)]) -> String {
    let mut text = String::from("\n## Where it counts who calls\n");
    let mut tables: Vec<(String, Vec<&str>)> = Vec::new();
    for (over, connection) in everybody.connections.iter().enumerate() {
        let table = table(everybody, seen, over);
        match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, names)) => names.push(connection.name),
            None => tables.push((table, vec![connection.name])),
        }
    }
    for (table, names) in tables {
        let _ = write!(text, "\nOver {}:\n\n{table}", names.join("; or over "));
    }
    text += "\n## Where everybody is answered alike\n";
    for (admin, listener) in [(false, "main"), (true, "admin")] {
        let _ = write!(text, "\nThe {listener} listener:\n\n| path | answer |\n|---|---|\n");
        let mut answers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let alike = seen.iter().filter(|(endpoint, _)| endpoint.admin == admin);
        for (endpoint, all) in alike.filter(|(endpoint, _)| admin || !ASKED.contains(&endpoint.path.as_str()))
        {
            let answer = all.values().next().expect("an answer");
            answers.entry(&endpoint.path).or_default().push(format!("{}{}", method(endpoint), shown(answer)));
        }
        for (path, answers) in answers {
            let _ = writeln!(text, "| `{path}` | {} |", answers.join(", "));
        }
    }
    text += "\n## Connections that are refused\n\n";
    for (name, _) in &everybody.refused {
        let _ = writeln!(text, "* {name}");
    }
    text + "\n"
}

/// One row for each caller, over one connection.
fn table(everybody: &Everybody, seen: &[(Endpoint, Answers)], over: usize) -> String {
    let heads = ASKED.map(|path| format!("`{}`", path.rsplit_once('.').map_or(path, |(_, name)| name)));
    let mut table =
        format!("| caller | {} | what gRPC tells it |\n|---|---|---|---|---|---|\n", heads.join(" | "));
    for (by, caller) in everybody.callers.iter().enumerate() {
        let mut texts: Vec<&str> = Vec::new();
        let cells = ASKED.map(|path| {
            let of_path = seen.iter().filter(|(endpoint, _)| !endpoint.admin && endpoint.path == path);
            let answers: Vec<&Answer> = of_path.map(|(_, answers)| &answers[&(over, by)]).collect();
            texts.extend(answers.iter().map(|answer| answer.text.as_str()).filter(|text| !text.is_empty()));
            let (first, rest) = answers.split_first().expect("it was asked");
            assert!(rest.iter().all(|answer| answer == first), "{path}: any method is answered alike");
            shown(first)
        });
        texts.dedup();
        let texts: Vec<_> = texts.iter().map(|text| format!("`{text}`")).collect();
        let _ = writeln!(table, "| {} | {} | {} |", caller.name, cells.join(" | "), texts.join("; "));
    }
    table
}

fn method(endpoint: &Endpoint) -> String {
    match &endpoint.call {
        Call::Http { method, .. } => format!("{method} "),
        Call::Grpc { .. } => String::from("gRPC "),
    }
}

fn shown(answer: &Answer) -> String {
    let who = answer.sandbox.as_deref().map(|id| if id == SANDBOX { "A" } else { "B" });
    match who {
        Some(who) => format!("**{}, as {who}**", answer.code),
        None => answer.code.clone(),
    }
}
