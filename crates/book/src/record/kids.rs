//! Kids differ from run to run: a command that names one must name the one of this run.

use std::collections::BTreeMap;

/// What is called which way in this run: the first eight digits of a former run's kid, and the whole of
/// this run's, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Kids(BTreeMap<String, String>);

impl Kids {
    /// Learns from what a command printed in the former run and in this one.
    pub(super) fn learn(&mut self, former: &str, now: &str) {
        let unknown_before: Vec<_> =
            kids(former).into_iter().filter(|kid| !self.0.contains_key(short(kid))).collect();
        let unknown_now: Vec<_> = kids(now)
            .into_iter()
            .filter(|kid| !self.0.values().any(|known| short(known) == short(kid)))
            .collect();
        if unknown_before.len() == unknown_now.len() {
            for (former, now) in unknown_before.into_iter().zip(unknown_now) {
                self.0.insert(short(&former).to_owned(), now);
            }
        }
        for kid in kids(now).into_iter().filter(|kid| kid.len() == WHOLE) {
            for known in self.0.values_mut().filter(|known| short(known) == short(&kid)) {
                known.clone_from(&kid);
            }
        }
    }

    /// `text` with the kids of the former run replaced by those of this one, long where they were long.
    pub(super) fn translate(&self, text: &str) -> String {
        let mut made = String::with_capacity(text.len());
        for piece in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let now = self.0.get(short(word)).filter(|_| is_kid(word));
            let now = now.and_then(|kid| kid.get(..word.len().min(kid.len())));
            made.push_str(now.unwrap_or(word));
            made.push_str(piece.get(word.len()..).unwrap_or_default());
        }
        made
    }
}

/// Digits of a kid that Keystile made.
const WHOLE: usize = 32;
/// Digits of a kid as people are shown it.
const SHORT: usize = 8;

/// The kids in a text, each once, in the order in which they appear.
fn kids(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_kid(word)) {
        if !found.iter().any(|kid| short(kid) == short(word)) {
            found.push(word.to_owned());
        }
    }
    found
}

fn is_kid(word: &str) -> bool {
    // One kid in 43 is shown as eight digits without a letter.
    let hexadecimal = word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hexadecimal && matches!(word.len(), SHORT | WHOLE)
}

fn short(kid: &str) -> &str {
    kid.get(..SHORT).unwrap_or(kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_of_the_former_run_becomes_the_one_of_this() {
        let mut kids = Kids::default();
        kids.learn("key aaaaaaa1 signs", "key bbbbbbb1 signs");
        kids.learn("aaaaaaa2 signs, aaaaaaa1 verifies", "bbbbbbb2 signs, bbbbbbb1 verifies");
        let translated = kids.translate("keystile revoke aaaaaaa2 --reason \"aaaaaaa1, not aaaaaaa3\"");
        assert_eq!(translated, "keystile revoke bbbbbbb2 --reason \"bbbbbbb1, not aaaaaaa3\"");
    }

    #[test]
    fn a_long_kid_stays_long_once_it_was_seen_whole() {
        let mut kids = Kids::default();
        let (former, now) = (format!("aaaaaaa1{}", "a".repeat(24)), format!("bbbbbbb1{}", "b".repeat(24)));
        kids.learn("key aaaaaaa1 signs", "key bbbbbbb1 signs");
        kids.learn(&former, &now);
        assert_eq!(kids.translate(&format!("({former}) aaaaaaa1")), format!("({now}) bbbbbbb1"));
    }

    #[test]
    fn a_kid_may_have_no_letter_in_it() {
        let mut kids = Kids::default();
        kids.learn("key aaaaaaa1 signs", "key 20263112 signs");
        assert_eq!(kids.translate("keystile revoke aaaaaaa1"), "keystile revoke 20263112");
        kids = Kids::default();
        kids.learn("key 20263112 signs", "key aaaaaaa1 signs");
        assert_eq!(kids.translate("keystile revoke 20263112"), "keystile revoke aaaaaaa1");
    }

    #[test]
    fn numbers_and_words_are_no_kids() {
        assert!(kids("17670 2026-11-23 facade deadbeef4 generations").is_empty());
    }
}
