//! A small run, word for word: the same options give the same answer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use keystile_picture::Ink;
use keystile_simulation::{Options, Simulated, report, script, simulate};

fn small(seed: u64) -> Simulated {
    let text = "at 5m rotate\nat 20m outage for 7m\nat 35m revoke active --descendants\nat 50m end";
    let script = Some(script::parse(text).unwrap());
    simulate(Options { sandboxes: 500, replicas: 3, script, seed, ..Options::default() }.settle().unwrap())
}

#[test]
fn the_text_is_as_it_was_agreed_on() {
    insta::assert_snapshot!(report::text(&small(7), Ink::default()));
}

/// The curves are long, and drawn in the text: of each, the first value stands here.
#[test]
fn the_document_is_as_it_was_agreed_on() {
    let mut document = serde_json::to_value(report::document(&small(7))).unwrap();
    let series = document["series"].as_object_mut().unwrap();
    for curve in series.values_mut().filter_map(|curve| curve.as_array_mut()).filter(|curve| curve.len() > 8)
    {
        curve.truncate(1);
    }
    for key in series["holders"].as_array_mut().unwrap() {
        key["sandboxes"].as_array_mut().unwrap().truncate(1);
    }
    insta::assert_json_snapshot!(document);
}

#[test]
fn a_seed_gives_the_same_answer_and_another_seed_another() {
    let json = |seed| serde_json::to_string(&report::document(&small(seed))).unwrap();
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let page = report::html(&small(7), "keystile simulate --seed 7 <&>");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("keystile simulate --seed 7 &lt;&amp;&gt;"));
    assert_eq!(page.matches("<svg ").count(), 3);
    for foreign in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for part in ["Over time", "Load", "Convergence", "Steps", "max_staleness", "revoke active --descendants"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"));
}
