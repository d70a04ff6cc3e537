//! The settings of `keystile serve`.

use std::fmt::Write as _;

use keystile_gateway::config::{Kind, SETTINGS, Setting};

/// One row for each setting.
pub(super) fn table() -> String {
    let mut table = "| setting | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    for setting in SETTINGS.iter().filter(|setting| !setting.hidden) {
        let default = setting.default().map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        let (name, value) = (setting.name, value(setting));
        let _ = writeln!(table, "| `{name}` | {value} | {default} | {} |", setting.meaning);
    }
    table
}

fn value(setting: &Setting) -> String {
    match (setting.kind, setting.range) {
        (Kind::Duration, Some((least, most))) => format!("{} to {}", duration(least), duration(most)),
        (_, Some((least, most))) => format!("{least} to {most}"),
        (kind, None) => kind.expects(),
    }
}

/// Milliseconds as people say them.
fn duration(millis: u64) -> String {
    if millis.is_multiple_of(1000) {
        return keystile_keyring::in_words(millis / 1000);
    }
    format!("{millis} ms")
}
