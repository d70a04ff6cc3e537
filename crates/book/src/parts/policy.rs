//! The members of the policy.

use std::fmt::Write as _;

use keystile_keyring::policy::MEMBERS;
use keystile_keyring::{Policy, in_words};

/// One row for each member.
pub(super) fn table() -> String {
    let default = Policy::default();
    let mut table = "| member | default | range | meaning |\n|---|---|---|---|\n".to_owned();
    for member in MEMBERS {
        let counted = member.name == "max_keys";
        let say = |value: u64| if counted || value == 0 { value.to_string() } else { in_words(value) };
        let usual = member.get(&default).map_or_else(|| "none".to_owned(), say);
        let (name, least, most) = (member.name, say(member.min), say(member.max));
        let _ = writeln!(table, "| `{name}` | {usual} | {least} to {most} | {} |", member.meaning);
    }
    table
}
