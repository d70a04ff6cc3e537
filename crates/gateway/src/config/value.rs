//! How a setting's value is read from text and written as TOML.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use keystile_keyring::ReplicaId;

/// What a value looks like: for help texts and for the command line's parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path of a file or directory.
    Path,
    /// An address and port, such as `127.0.0.1:17670`.
    Address,
    /// `true` or `false`; as a flag it needs no value.
    Switch,
    /// A duration such as `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.
    Duration,
    /// A number of bytes such as `8192` or `16KiB`.
    Bytes,
    /// A number.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Pairs such as `name=value,name=value`; in TOML a table.
    Pairs,
    /// Names, separated by commas.
    Names,
}

impl Kind {
    /// What may stand there, in a few words.
    pub fn expects(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Path => "a path".into(),
            Self::Address => "an address and port, such as 127.0.0.1:17670".into(),
            Self::Switch => "true or false".into(),
            Self::Duration => "a duration, such as 500ms, 30s, 5m or 1h".into(),
            Self::Bytes => "a number of bytes, such as 8192 or 16KiB".into(),
            Self::Number => "a whole number".into(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Pairs => "pairs such as name=value,name=value".into(),
            Self::Names => "names, separated by commas".into(),
        }
    }
}

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Text(String),
    Pairs(BTreeMap<String, String>),
}

impl Raw {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()),
            Self::Pairs(_) => None,
        }
    }

    /// What an error shows of it.
    pub(super) fn excerpt(&self) -> String {
        match self {
            Self::Text(text) => text.chars().take(80).collect(),
            Self::Pairs(pairs) => format!("a table of {} entries", pairs.len()),
        }
    }
}

/// A type that a setting can have.
pub(super) trait Value: Sized {
    fn parse(raw: &Raw) -> Option<Self>;

    /// As TOML; `None` if it is not set.
    fn show(&self) -> Option<String>;

    /// Its size, where a range applies: seconds, bytes or a number.
    fn measure(&self) -> Option<u64> {
        None
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for bool {
    fn parse(raw: &Raw) -> Option<Self> {
        match raw.text()? {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for SocketAddr {
    fn parse(raw: &Raw) -> Option<Self> {
        raw.text()?.parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Value for Option<PathBuf> {
    fn parse(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        (!text.is_empty()).then(|| Some(PathBuf::from(text)))
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(|path| quoted(&path.display().to_string()))
    }
}

impl Value for Option<String> {
    fn parse(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        (!text.is_empty()).then(|| Some(text.to_owned()))
    }

    fn show(&self) -> Option<String> {
        self.as_deref().map(quoted)
    }
}

impl Value for String {
    fn parse(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Value for Vec<String> {
    fn parse(raw: &Raw) -> Option<Self> {
        let names: Self = raw.text()?.split(',').map(|name| name.trim().to_owned()).collect();
        names
            .iter()
            .all(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
            .then_some(names)
    }

    fn show(&self) -> Option<String> {
        (!self.is_empty()).then(|| quoted(&self.join(",")))
    }
}

impl Value for Option<ReplicaId> {
    fn parse(raw: &Raw) -> Option<Self> {
        ReplicaId::new(raw.text()?).ok().map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(|id| quoted(id.as_str()))
    }
}

impl Value for Duration {
    fn parse(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let seconds = |factor: u64| number.checked_mul(factor).map(Self::from_secs);
        match unit.trim() {
            "ms" => Some(Self::from_millis(number)),
            "" | "s" => seconds(1),
            "m" | "min" => seconds(60),
            "h" => seconds(3600),
            "d" => seconds(86_400),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        let text = match self.subsec_millis() {
            0 => format!("{}s", self.as_secs()),
            _ => format!("{}ms", self.as_millis()),
        };
        Some(quoted(&text))
    }

    fn measure(&self) -> Option<u64> {
        u64::try_from(self.as_millis()).ok()
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u32);

impl Value for ByteCount {
    fn parse(raw: &Raw) -> Option<Self> {
        let text = raw.text()?;
        let (number, factor) = match text.strip_suffix("KiB") {
            Some(number) => (number.trim(), 1024),
            None => match text.strip_suffix("MiB") {
                Some(number) => (number.trim(), 1024 * 1024),
                None => (text, 1),
            },
        };
        number.parse::<u32>().ok()?.checked_mul(factor).map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }

    fn measure(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }
}

impl Value for u32 {
    fn parse(raw: &Raw) -> Option<Self> {
        raw.text()?.parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn measure(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Value for Option<u32> {
    fn parse(raw: &Raw) -> Option<Self> {
        u32::parse(raw).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(u32::show)
    }

    fn measure(&self) -> Option<u64> {
        self.map(u64::from)
    }
}

impl Value for i64 {
    fn parse(raw: &Raw) -> Option<Self> {
        raw.text()?.parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for BTreeMap<String, String> {
    fn parse(raw: &Raw) -> Option<Self> {
        let pairs: Self = match raw {
            Raw::Pairs(pairs) => pairs.clone(),
            Raw::Text(text) => {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                entries
                    .map(|entry| {
                        entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
                    })
                    .collect::<Option<_>>()?
            }
        };
        let printable =
            |text: &String| !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
        pairs.iter().all(|(name, value)| printable(name) && printable(value)).then_some(pairs)
    }

    fn show(&self) -> Option<String> {
        let entries: Vec<_> =
            self.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
        (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
    }
}

/// An enumeration whose values are words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every word, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::config::value::Value for $name {
            fn parse(raw: &$crate::config::value::Raw) -> Option<Self> {
                match raw {
                    $($crate::config::value::Raw::Text(word) if word.trim() == $word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn show(&self) -> Option<String> {
                Some(format!("{:?}", self.as_str()))
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn durations_have_units() {
        let cases = [
            ("5", 5000),
            ("500ms", 500),
            ("5 s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ];
        for (given, millis) in cases {
            assert_eq!(Duration::parse(&text(given)), Some(Duration::from_millis(millis)), "{given}");
        }
        for refused in ["", "s", "-1s", "1.5s", "5w", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(Duration::parse(&text(refused)), None, "{refused}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_is_read() {
        for millis in [0, 1, 500, 1000, 90_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            let shown = duration.show().expect("a duration is always set");
            assert_eq!(Duration::parse(&text(shown.trim_matches('"'))), Some(duration));
        }
    }

    #[test]
    fn byte_counts_have_units_and_do_not_overflow() {
        assert_eq!(ByteCount::parse(&text("16KiB")), Some(ByteCount(16 * 1024)));
        assert_eq!(ByteCount::parse(&text("4 MiB")), Some(ByteCount(4 * 1024 * 1024)));
        assert_eq!(ByteCount::parse(&text("8192")), Some(ByteCount(8192)));
        assert_eq!(ByteCount::parse(&text("4096 MiB")), None);
        assert_eq!(ByteCount::parse(&text("8k")), None);
    }

    #[test]
    fn names_are_separated_by_commas() {
        let names = Vec::<String>::parse(&text("a, b-*")).expect("two names");
        assert_eq!(names, ["a", "b-*"]);
        assert_eq!(names.show().as_deref(), Some("\"a,b-*\""));
        for refused in ["", "a,,b", ",", "a b"] {
            assert_eq!(Vec::<String>::parse(&text(refused)), None, "{refused}");
        }
    }

    #[test]
    fn pairs_are_read_from_text_and_refused_with_blanks_or_controls() {
        let pairs = BTreeMap::parse(&text("a=urn:x, b=urn:y=z")).expect("two pairs");
        assert_eq!(pairs.get("b").map(String::as_str), Some("urn:y=z"));
        for refused in ["a", "=x", "a=", "a=x\ny", "a= x"] {
            assert_eq!(<BTreeMap<String, String>>::parse(&text(refused)), None, "{refused}");
        }
    }
}
