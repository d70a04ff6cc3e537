//! From text to a script.

use std::str::SplitWhitespace;
use std::time::Duration;

use keystile_keyring::Code;

use super::{Action, KeyName, LONGEST, MOST_STEPS, Script, Step};
use crate::moment::Moment;

const ACTIONS: &str = "rotate, rollback, revoke, retire, prune, outage or end";

/// A script that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A line that is no step.
    #[error("script line {line}: found {found}; expected {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// Too many.
    #[error("the script has {found} steps; expected at most {MOST_STEPS}")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Not `START+DURATION`.
    #[error("{found} is no outage; expected a start and a duration, such as 50m+8m")]
    Outage {
        /// What was given.
        found: String,
    },
}

/// Reads a script.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut script = Script::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if script.steps.len() >= MOST_STEPS {
            return Err(ScriptError::TooMany { found: text.lines().count() });
        }
        match (Line { number: index + 1, words: line.split_whitespace() }).read()? {
            Read::Step(step) => script.steps.push(step),
            Read::End(at) => script.end = Some(at),
        }
    }
    script.sort();
    Ok(script)
}

/// Reads `START+DURATION`.
pub fn parse_outage(text: &str) -> Result<Step, ScriptError> {
    let step = text.split_once('+').and_then(|(start, length)| {
        let (start, length) = (duration(start)?, duration(length)?);
        let fits = start <= LONGEST && length <= LONGEST && !length.is_zero();
        fits.then(|| Step { at: Moment(0).plus(start), action: Action::Outage(length), expect: None })
    });
    step.ok_or_else(|| ScriptError::Outage { found: quoted(text) })
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

enum Read {
    Step(Step),
    End(Moment),
}

/// One line, read word by word.
struct Line<'a> {
    number: usize,
    words: SplitWhitespace<'a>,
}

impl Line<'_> {
    fn wrong(&self, found: Option<&str>, expected: impl Into<String>) -> ScriptError {
        let found = found.map_or_else(|| "the end of the line".to_owned(), quoted);
        ScriptError::Line { line: self.number, found, expected: expected.into() }
    }

    fn read(mut self) -> Result<Read, ScriptError> {
        match self.words.next() {
            Some("at") => {}
            other => return Err(self.wrong(other, "at, as in: at 10m rotate")),
        }
        let at = Moment(0).plus(self.duration("an instant such as 90s, 10m or 1h30m")?);
        let word = self.words.next();
        if word == Some("end") {
            return match self.words.next() {
                None => Ok(Read::End(at)),
                other => Err(self.wrong(other, "the end of the line")),
            };
        }
        let action = self.action(word)?;
        let expect = self.expect()?;
        if expect.is_some() && matches!(action, Action::Outage(_)) {
            return Err(self.wrong(Some("expect"), "nothing more: only an operation can be refused"));
        }
        Ok(Read::Step(Step { at, action, expect }))
    }

    fn action(&mut self, word: Option<&str>) -> Result<Action, ScriptError> {
        Ok(match word {
            Some("rotate") => Action::Rotate { emergency: self.flag("--emergency") },
            Some("rollback") => Action::Rollback,
            Some("revoke") => Action::Revoke { key: self.key()?, descendants: self.flag("--descendants") },
            Some("retire") => Action::Retire { key: self.key()?, force: self.flag("--force") },
            Some("prune") => Action::Prune,
            Some("outage") => match self.words.next() {
                Some("for") => Action::Outage(self.duration("a duration such as 8m")?),
                other => return Err(self.wrong(other, "for, as in: outage for 8m")),
            },
            other => return Err(self.wrong(other, ACTIONS)),
        })
    }

    fn duration(&mut self, expected: &str) -> Result<Duration, ScriptError> {
        let word = self.words.next();
        let read = word.and_then(duration).ok_or_else(|| self.wrong(word, expected))?;
        if read > LONGEST {
            return Err(self.wrong(word, "at most 168h"));
        }
        Ok(read)
    }

    fn key(&mut self) -> Result<KeyName, ScriptError> {
        let word = self.words.next();
        let numbered = |word: &str| word.strip_prefix("key-")?.parse().ok().filter(|number| *number > 0);
        match word {
            Some("active") => Ok(KeyName::Active),
            Some("verify-only") => Ok(KeyName::VerifyOnly),
            other => other.and_then(numbered).map(KeyName::Numbered).ok_or_else(|| {
                self.wrong(word, "a key: active, verify-only, or key-1, key-2 … as they appear")
            }),
        }
    }

    /// Takes the flag if it comes next.
    fn flag(&mut self, name: &str) -> bool {
        let mut ahead = self.words.clone();
        let found = ahead.next() == Some(name);
        if found {
            self.words = ahead;
        }
        found
    }

    /// `expect CODE`, or nothing.
    fn expect(&mut self) -> Result<Option<Code>, ScriptError> {
        let expect = match self.words.next() {
            None => return Ok(None),
            Some("expect") => self.words.next(),
            other => return Err(self.wrong(other, "the end of the line, or: expect CODE")),
        };
        let known = Code::ALL.iter().find(|code| Some(code.as_str()) == expect).copied();
        let code = known.ok_or_else(|| self.wrong(expect, "a refusal's code, such as live-tokens"))?;
        match self.words.next() {
            None => Ok(Some(code)),
            other => Err(self.wrong(other, "the end of the line")),
        }
    }
}

/// `90s`, `1500ms`, `10m`, `1h30m`, `2d`.
fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(u64::from(millis.parse::<u32>().ok()?)));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let unit = match tail.bytes().next()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        let seconds = u64::from(number.parse::<u32>().ok()?).checked_mul(unit)?;
        total = total.checked_add(Duration::from_secs(seconds))?;
        rest = tail.get(1..)?;
    }
    (!text.is_empty()).then_some(total)
}
