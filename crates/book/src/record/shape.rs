//! The shape of a recording: what stays the same from run to run.

/// Units that a duration is told in.
const UNITS: &[&str] = &["s", "ms", "min", "h", "days"];

/// A line with every kid, number and bar replaced by one sign each, and durations by one.
pub(super) fn of(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace().map(word).filter(|word| !word.is_empty()) {
        let unit = UNITS.contains(&word.trim_end_matches([',', '.', ')', ':', ';']));
        match words.last_mut() {
            // `5 min 3 s` and `300 s` are both one duration.
            Some(last) if unit && last.ends_with('#') => {
                *last = last.replacen('#', "~", 1);
                last.push_str(word.trim_start_matches(char::is_alphabetic));
            }
            Some(last) if word.starts_with('#') && last == "~" => "#".clone_into(last),
            Some(last) if *last == word && word == "#" => {}
            _ => words.push(word),
        }
    }
    words.join(" ")
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

/// A number, or a name with digits in it, as one sign.
fn sign(name: &str) -> String {
    let hexadecimal = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = name.bytes().any(|byte| byte.is_ascii_digit());
    if hexadecimal || number { "#".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn what_differs_from_run_to_run_is_no_part_of_the_shape() {
        let same = [
            ("key c41d09e7 signs", "key 8b98b466 signs"),
            ("from 13:24:40, in 5 min 3 s", "from 9:01:59, in 59 s"),
            ("  c41d09e7 ░░███┃██▶ active", "  deadbeef ░█┃███▶ active"),
            ("3 of 3 replicas", "4 of 4 replicas"),
        ];
        for (one, other) in same {
            assert_eq!(of(one), of(other));
        }
    }

    #[test]
    fn words_are() {
        assert_ne!(of("healthy"), of("degraded"));
        assert_ne!(of("refused [live-tokens]"), of("refused [key-signs]"));
    }
}
