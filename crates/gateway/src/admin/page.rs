//! `/status` for people: the same facts as a page of its own, without a script and without anything from elsewhere.

use keystile_keyring::{UnixTime, in_words};
use keystile_picture::{Cell, STYLE, escape, grouped, table};

use super::Status;
use super::status::KeyStatus;

/// What the page may load and do: its own style, and nothing else.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// How often a browser asks again, seconds.
const AGAIN: u64 = 5;

/// The page.
pub(super) fn html(status: &Status) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"{AGAIN}\">\n\
         <title>{} · {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        word(status),
        escape(&status.replica)
    );
    page.push_str(&header(status));
    page.push_str(&problems(status));
    page.push_str("<h2>Keys</h2>\n");
    page.push_str(&keys(status));
    page.push_str("<h2>This replica</h2>\n");
    page.push_str(&replica(status));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn word(status: &Status) -> &'static str {
    match (status.ready, status.problems.is_empty()) {
        (true, true) => "healthy",
        (true, false) => "degraded",
        (false, _) => "not ready",
    }
}

fn header(status: &Status) -> String {
    let class = if word(status) == "healthy" { "pass" } else { "fail" };
    let signer = status.keys.iter().find(|key| key.state.as_str() == "active");
    let signs = match signer {
        Some(key) if status.mints => format!("Key {} signs.", short(&key.kid)),
        Some(key) => format!("Key {} is to sign; this replica mints nothing now.", short(&key.kid)),
        None => "No key signs.".to_owned(),
    };
    let next = status.next_event.as_ref().map_or_else(String::new, |event| {
        let what = match event.what.as_str() {
            "activates" => "begins to sign",
            "retires" => "retires",
            _ => "can be rolled back to no more",
        };
        format!(" {} {what} {}.", short(&event.kid), relative(event.at, status.now))
    });
    format!(
        "<h1>Keystile · keyring {} · generation {} · replica {}</h1>\n\
         <div class=\"verdict\"><span class=\"badge {class}\">{}</span><p class=\"lead\">{}{}</p></div>\n",
        escape(&status.gateway_id),
        status.generation,
        escape(&status.replica),
        word(status),
        escape(&signs),
        escape(&next)
    )
}

fn problems(status: &Status) -> String {
    let due = status.rotation_due.then(|| "A rotation is due.".to_owned());
    let lines = status.problems.iter().cloned().chain(due);
    let items: Vec<_> = lines.map(|problem| format!("<li>{}</li>", escape(&problem))).collect();
    if items.is_empty() { String::new() } else { format!("<ul class=\"no\">\n{}\n</ul>\n", items.join("\n")) }
}

fn keys(status: &Status) -> String {
    let row = |key: &KeyStatus| {
        let until = key.accept_until.map_or_else(|| "–".to_owned(), |at| instant(at, status.now));
        let last = key.usage.last_use.map_or_else(|| "–".to_owned(), |at| relative(at, status.now));
        let seen = match key.usage.never_expires.as_slice() {
            [] => Vec::new(),
            named => vec![format!("with tokens that never expire: {}", named.join(", "))],
        };
        vec![
            Cell::Code(key.kid.clone()),
            Cell::text(key.state.as_str()),
            Cell::Time(until),
            Cell::Time(last),
            Cell::Details(grouped(key.usage.sandboxes), seen),
            Cell::number(grouped(key.accepted)),
            Cell::number(grouped(key.minted)),
        ]
    };
    let heads = ["kid", "state", "accepted until", "last use", "sandboxes", "verified", "minted"];
    let rows: Vec<_> = status.keys.iter().map(row).collect();
    table(&heads, &rows)
}

fn replica(status: &Status) -> String {
    let confirmed = format!("{} ago, {}", in_words(status.confirmed_seconds_ago), status.freshness);
    let age = status.key_age.map_or_else(|| "–".to_owned(), in_words);
    let facts = [
        ("store", status.store.clone()),
        ("confirmed", confirmed),
        ("digest", status.digest.clone()),
        ("mints", if status.mints { "yes" } else { "no" }.to_owned()),
        ("age of the signing key", age),
        ("started", instant(status.started_at, status.now)),
        ("build", status.build.clone()),
    ];
    let rows: Vec<_> =
        facts.into_iter().map(|(name, fact)| vec![Cell::text(name), Cell::text(fact)]).collect();
    table(&["", ""], &rows)
}

fn short(kid: &str) -> &str {
    kid.get(..8).unwrap_or(kid)
}

/// `14:32:10 UTC (in 48 min)`.
fn instant(at: UnixTime, now: UnixTime) -> String {
    format!("{} ({})", clock(at), relative(at, now))
}

/// The time of day; the relative part says which day.
fn clock(at: UnixTime) -> String {
    let second = at.0 % 86_400;
    format!("{:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

fn relative(at: UnixTime, now: UnixTime) -> String {
    if at > now {
        format!("in {}", in_words(at.since(now)))
    } else {
        format!("{} ago", in_words(now.since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let key = serde_json::json!({
            "kid": "<b>kid</b>", "state": "active", "held_since": 1, "signs_here": true, "accept_until": null,
            "accepted": 12_345, "minted": 3, "usage": {"sandboxes": 2, "never_expires": ["<i>agent</i>"]},
        });
        let status = serde_json::json!({
            "replica": "<script>", "build": "1", "started_at": 1, "now": 1_800_000_000, "store": "\"><img>",
            "gateway_id": "a&b", "generation": 7, "digest": "00", "ready": true, "mints": true,
            "problems": ["<u>why</u>"], "confirmed_at": 1, "confirmed_seconds_ago": 3, "freshness": "confirmed",
            "rotation_due": true, "key_age": 5, "next_event": null, "keys": [key],
        });
        serde_json::from_value(status).expect("a status")
    }

    #[test]
    fn nothing_shown_is_markup() {
        let page = html(&status());
        for hostile in ["<script>", "<img>", "<b>kid", "<i>agent", "<u>why"] {
            assert!(!page.contains(hostile), "{hostile} in {page}");
        }
        assert!(page.contains("12,345") && page.contains("A rotation is due."), "{page}");
    }

    #[test]
    fn the_word_says_whether_somebody_should_look() {
        let word = |ready, problems: &[&str]| {
            let problems = problems.iter().map(ToString::to_string).collect();
            word(&Status { ready, problems, ..status() })
        };
        assert_eq!(
            (word(true, &[]), word(true, &["x"]), word(false, &[])),
            ("healthy", "degraded", "not ready")
        );
    }

    #[test]
    fn instants_are_absolute_and_relative() {
        let now = UnixTime(1_800_000_000);
        assert_eq!(instant(now.plus(2880), now), "08:48:00 UTC (in 48 min)");
        assert_eq!(relative(now.minus(4), now), "4 s ago");
    }
}
