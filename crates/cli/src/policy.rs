//! Rules on the command line: `token_ttl=2h`.

use keystile_keyring::Policy;
use keystile_keyring::policy::MEMBERS;

use crate::parse;

/// A rule's name and its value; `None` where it is to be unset.
pub(crate) type Assignment = (String, Option<u64>);

/// `NAME=VALUE`: the name with `_` or `-`, the value a duration, a number or `none`.
pub(crate) fn assignment(text: &str) -> Result<Assignment, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.replace('-', "_");
    if !MEMBERS.iter().any(|member| member.name == name) {
        return Err(unknown(&name));
    }
    let value = match value {
        "none" => None,
        value => Some(parse::duration(value).map_err(|error| error.to_string())?),
    };
    Ok((name, value))
}

fn unknown(name: &str) -> String {
    let near =
        MEMBERS.iter().map(|member| (strsim::damerau_levenshtein(member.name, name), member.name)).min();
    match near {
        Some((distance, near)) if distance <= 3 => format!("there is no rule {name:?}; did you mean {near}?"),
        _ => {
            let names: Vec<_> = MEMBERS.iter().map(|member| member.name).collect();
            format!("there is no rule {name:?}; expected one of {}", names.join(", "))
        }
    }
}

/// The rules with their defaults and ranges, for the help.
pub(crate) fn members() -> String {
    let usual = Policy::default();
    let lines = MEMBERS.iter().map(|member| {
        let default = member.get(&usual).map_or_else(|| "none".to_owned(), |value| member.shown(value));
        format!("  {:<19} {} [default: {default}; {}]\n", member.name, member.meaning, member.range())
    });
    format!("Rules:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_name_and_a_value() {
        assert_eq!(assignment("token_ttl=2h"), Ok(("token_ttl".to_owned(), Some(7200))));
        assert_eq!(assignment("rotate-every=none"), Ok(("rotate_every".to_owned(), None)));
        assert_eq!(assignment("max_keys=4"), Ok(("max_keys".to_owned(), Some(4))));
    }

    #[test]
    fn both_ends_of_a_range_have_their_unit() {
        let help = members();
        assert!(help.contains("[default: 5 min; 1 s to 24 h]"), "{help}");
        assert!(help.contains("[default: 8; 3 to 8]"), "{help}");
        let ends = |member: &keystile_keyring::policy::Member| [member.min, member.max];
        for member in MEMBERS.iter().filter(|member| member.name != "max_keys") {
            for end in ends(member).into_iter().filter(|end| *end > 0) {
                let shown = member.shown(end);
                assert!(shown.contains(' '), "{}: {shown}", member.name);
            }
        }
    }

    #[test]
    fn a_mistyped_rule_is_answered_with_the_nearest() {
        let answer = assignment("tokenttl=2h").expect_err("unknown");
        assert_eq!(answer, "there is no rule \"tokenttl\"; did you mean token_ttl?");
        assert!(assignment("colour=red").expect_err("unknown").contains("expected one of token_ttl, leeway"));
        assert!(assignment("token_ttl").is_err());
        assert!(assignment("token_ttl=soon").is_err());
    }
}
