//! The shape of a recording: what stays the same from run to run.

/// Units that a duration is told in.
const UNITS: &[&str] = &["s", "ms", "min", "h", "days"];
/// What stands for a number, or a name with digits in it.
const NUMBER: &str = "#";
/// What stands for a moment: `in 5 s`, `5 s ago`, `now`.
const MOMENT: &str = "~";

/// A line with kids, numbers, moments and bars replaced by one sign each.
pub(super) fn of(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace().map(word).filter(|word| !word.is_empty()) {
        push(&mut words, word);
    }
    // The marks on an axis of time: how many there are depends on the time of day.
    let is_axis = words.len() > 1 && words.iter().all(|word| matches!(word.as_str(), "UTC" | "#:#" | MOMENT));
    if is_axis { MOMENT.to_owned() } else { words.join(" ") }
}

/// Adds a word, or takes it together with the last one.
fn push(words: &mut Vec<String>, word: String) {
    let (bare, after) = bare(&word);
    let Some(last) = words.last_mut() else {
        words.push(word);
        return;
    };
    let (before, opening) = match last.strip_prefix('(') {
        Some(rest) => (rest, "("),
        None => (last.as_str(), ""),
    };
    match (before, bare) {
        // `5 min 3 s` and `300 s` are both one duration.
        (NUMBER, unit) if UNITS.contains(&unit) => *last = format!("{opening}{MOMENT}{after}"),
        (MOMENT, "ago") => *last = format!("{opening}{MOMENT}{after}"),
        (MOMENT | "in", NUMBER) => *last = format!("{opening}{NUMBER}{after}"),
        _ if *last == word => {}
        _ => words.push(word),
    }
}

/// A word without the punctuation that ends it.
fn bare(word: &str) -> (&str, &str) {
    let bare = word.trim_end_matches([',', '.', ')', ':', ';']);
    (bare, word.get(bare.len()..).unwrap_or_default())
}

fn word(word: &str) -> String {
    let mut shape = String::new();
    let is_sign = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    for piece in word.split_inclusive(|c| !is_sign(c)) {
        let (name, rest) = piece.split_at(piece.find(|c| !is_sign(c)).unwrap_or(piece.len()));
        shape.push_str(&sign(name));
        shape.extend(rest.chars().filter(|c| c.is_ascii() || c.is_alphabetic() || *c == '–'));
    }
    shape
}

/// Letters of what Kubernetes makes the ends of names of.
const DRAWN: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Whether a name ends as Kubernetes ends those of pods.
fn is_drawn(name: &str) -> bool {
    let end = name.rsplit_once('-').map(|(_, end)| end);
    end.is_some_and(|end| end.len() == 5 && end.chars().all(|c| DRAWN.contains(c)))
}

const DAYS_AND_MONTHS: &[&str] = &[
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
    "Sep", "Oct", "Nov", "Dec",
];

fn sign(name: &str) -> String {
    let hexadecimal = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = name.bytes().any(|byte| byte.is_ascii_digit());
    match name {
        "now" => MOMENT.to_owned(),
        _ if hexadecimal || number || is_drawn(name) || DAYS_AND_MONTHS.contains(&name) => NUMBER.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn what_differs_from_run_to_run_is_no_part_of_the_shape() {
        let same = [
            ("key c41d09e7 signs", "key 8b98b466 signs"),
            ("from 13:24:40, in 5 min 3 s", "from 9:01:59, in 59 s"),
            ("from 13:24:40 (in 5 min 3 s).", "from 9:01:59 (now)."),
            ("read 5 s ago", "read now"),
            ("  c41d09e7 ░░███┃██▶ active", "  deadbeef ░█┃███▶ active"),
            ("3 of 3 replicas", "4 of 4 replicas"),
            ("LAST DEPLOYED: Thu Nov 26 20:00:00 2026", "LAST DEPLOYED: Fri May  7 08:00:00 2027"),
            ("pod/keystile-init-xkvbz 3s", "pod/keystile-init-8z5qp 2m3s"),
            ("  UTC   07:55  now  08:00", "  UTC  07:00  07:30 now"),
        ];
        for (one, other) in same {
            assert_eq!(of(one), of(other));
        }
    }

    #[test]
    fn words_are() {
        assert_ne!(of("healthy"), of("degraded"));
        assert_ne!(of("refused [live-tokens]"), of("refused [key-signs]"));
        assert_ne!(of("in order"), of("order"));
    }
}
