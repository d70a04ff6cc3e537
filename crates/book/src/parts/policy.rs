//! The members of the policy.

use std::fmt::Write as _;

use keystile_keyring::Policy;
use keystile_keyring::policy::MEMBERS;

/// One row for each member.
pub(super) fn table() -> String {
    let default = Policy::default();
    let mut table = "| member | default | range | meaning |\n|---|---|---|---|\n".to_owned();
    for member in MEMBERS {
        let usual = member.get(&default).map_or_else(|| "none".to_owned(), |value| member.shown(value));
        let _ = writeln!(table, "| `{}` | {usual} | {} | {} |", member.name, member.range(), member.meaning);
    }
    table
}
