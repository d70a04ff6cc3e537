//! Short names for keys: as few characters of a kid as tell the keys apart.

use std::collections::BTreeMap;

use keystile_keyring::{Kid, Manifest};

/// At least so many characters are shown.
const FEWEST: usize = 8;

/// More characters than this are never shown in a column.
const MOST: usize = 20;

/// A short name for each key of a keyring.
pub(crate) struct Labels(BTreeMap<Kid, String>);

impl Labels {
    /// Names for the keys of `manifest`, the ones that are gone included.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let gone = manifest.tombstones.iter().map(|stone| &stone.kid);
        let kids: Vec<&Kid> = manifest.keys.iter().map(|key| &key.kid).chain(gone).collect();
        let name = |kid: &Kid| {
            let others = kids.iter().filter(|other| **other != kid);
            let common = others.map(|other| common_prefix(kid.as_str(), other.as_str())).max().unwrap_or(0);
            shorten(kid.as_str(), (common + 1).max(FEWEST))
        };
        Self(kids.iter().map(|kid| ((*kid).clone(), name(kid))).collect())
    }

    /// The short name of `kid`.
    pub(crate) fn get(&self, kid: &Kid) -> String {
        self.0.get(kid).cloned().unwrap_or_else(|| shorten(kid.as_str(), FEWEST))
    }

    /// `text` with every kid in it as its short name.
    pub(crate) fn shorten(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (kid, name)| text.replace(kid.as_str(), name))
    }

    /// The longest name's length.
    pub(crate) fn width(&self) -> usize {
        self.0.values().map(|name| name.chars().count()).max().unwrap_or(FEWEST)
    }
}

fn common_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(left, right)| left == right).count()
}

/// The first `length` characters, or beginning and end of a kid whose beginning says too little.
fn shorten(kid: &str, length: usize) -> String {
    if length <= MOST || kid.len() <= MOST {
        return kid.chars().take(length).collect();
    }
    let tail: String = kid.chars().skip(kid.len().saturating_sub(FEWEST)).collect();
    format!("{}…{tail}", kid.chars().take(FEWEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kids_are_shortened_as_far_as_they_differ() {
        assert_eq!(shorten("8b98b466aaaa", 8), "8b98b466");
        assert_eq!(shorten("prod", 8), "prod");
        let long = format!("{}1", "x".repeat(40));
        assert_eq!(shorten(&long, 41), "xxxxxxxx…xxxxxxx1");
        assert_eq!(common_prefix("abcd", "abxd"), 2);
    }
}
