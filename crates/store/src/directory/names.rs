//! The names in a store's directory.

use keystile_keyring::Digest;

/// The link to the newest generation; renaming it into place is the commit point.
pub(super) const DATA: &str = "..data";
/// The link before it is renamed.
pub(super) const DATA_NEW: &str = "..data_new";
/// An outer link before it is renamed.
pub(super) const LINK_NEW: &str = "..link_new";
/// Held by whoever changes the store.
pub(super) const LOCK: &str = ".lock";
/// There while a first generation is being written: what else is there was never in use.
pub(super) const FIRST: &str = ".first";
/// The replicas' reports.
pub(super) const REPLICAS: &str = "replicas";

/// A generation's directory; `attempt` tells apart two of the same content.
pub(super) fn generation(generation: u64, digest: &Digest, attempt: u32) -> String {
    let digest: String = digest.to_string().chars().take(12).collect();
    format!("..g{generation}-{digest}-{attempt}")
}

/// Whether `name` is one that [`generation`] gives. A mounted Secret's directories are named after
/// an instant instead.
pub(super) fn is_generation(name: &str) -> bool {
    let rest = name.strip_prefix("..g").and_then(|rest| rest.split_once('-'));
    rest.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What an outer link points to.
pub(super) fn through_data(member: &str) -> String {
    format!("{DATA}/{member}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generations_of_ours_are_taken_for_one() {
        assert!(is_generation(&generation(7, &Digest([7; 32]), 0)));
        assert!(is_generation(&generation(u64::MAX, &Digest([0xff; 32]), u32::MAX)));
        for other in
            ["..2026_08_21_10_00_00.123456789", "..data", "..g-1", "..gx-1", "..g7", "g7-1", "..data_new"]
        {
            assert!(!is_generation(other), "{other}");
        }
    }
}
