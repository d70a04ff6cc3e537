//! Text to script.

use std::str::SplitWhitespace;
use std::time::Duration;

use keystile_keyring::Code;

use super::{Action, Fault, KeyName, Operation, Script, ScriptError, Step};
use crate::replica::{MOST_REPLICAS, ReplicaName};

/// The most bytes of a script.
const MOST_BYTES: usize = 16 * 1024;
/// The most steps of a script.
const MOST_STEPS: usize = 200;
/// The latest instant, and the longest fault.
const LONGEST: Duration = Duration::from_hours(1);

const ACTIONS: &str =
    "rotate, rollback, revoke, retire, prune, reconcile, kill, restart, freeze, hide-store or end";

/// Reads a script: see [the module](super) for its language.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    if text.len() > MOST_BYTES {
        return Err(ScriptError::TooLarge { what: "bytes", found: text.len(), most: MOST_BYTES });
    }
    let mut script = Script::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match Line::new(index + 1, line).step()? {
            Parsed::Step(step) => script.steps.push(step),
            Parsed::End(_) if script.end.is_some() => return Err(ScriptError::SecondEnd { line: index + 1 }),
            Parsed::End(at) => script.end = Some(at),
        }
    }
    if script.steps.is_empty() && script.end.is_none() {
        return Err(ScriptError::Empty);
    }
    if script.steps.len() > MOST_STEPS {
        return Err(ScriptError::TooLarge { what: "steps", found: script.steps.len(), most: MOST_STEPS });
    }
    script.sort();
    script.check_end()?;
    Ok(script)
}

enum Parsed {
    Step(Step),
    End(Duration),
}

/// One line, read word by word.
struct Line<'a> {
    number: usize,
    words: SplitWhitespace<'a>,
}

impl<'a> Line<'a> {
    fn new(number: usize, text: &'a str) -> Self {
        Self { number, words: text.split_whitespace() }
    }

    fn wrong(&self, found: Option<&str>, expected: impl Into<String>) -> ScriptError {
        let found = found.map_or_else(
            || "the end of the line".to_owned(),
            |word| format!("{:?}", word.chars().take(40).collect::<String>()),
        );
        ScriptError::Line { line: self.number, found, expected: expected.into() }
    }

    fn step(mut self) -> Result<Parsed, ScriptError> {
        match self.words.next() {
            Some("at") => {}
            other => return Err(self.wrong(other, "at, as in: at 4s rotate")),
        }
        let at = self.duration("an instant such as 4s, 1500ms or 1.5s")?;
        let word = self.words.next();
        let action = match word {
            Some("end") => return self.finish().map(|_| Parsed::End(at)),
            Some(word) => self.action(word)?,
            None => return Err(self.wrong(None, ACTIONS)),
        };
        let expect = self.finish()?;
        if expect.is_some() && matches!(action, Action::Disturb(_)) {
            return Err(self.wrong(Some("expect"), "nothing more: only an operation can be refused"));
        }
        Ok(Parsed::Step(Step { at, action, expect }))
    }

    fn action(&mut self, word: &str) -> Result<Action, ScriptError> {
        Ok(match word {
            "rotate" => Action::Operate(Operation::Rotate { emergency: self.flag("--emergency") }),
            "rollback" => Action::Operate(Operation::Rollback),
            "revoke" => {
                let key = self.key()?;
                Action::Operate(Operation::Revoke { key, descendants: self.flag("--descendants") })
            }
            "retire" => {
                let key = self.key()?;
                Action::Operate(Operation::Retire { key, force: self.flag("--force") })
            }
            "prune" => Action::Operate(Operation::Prune),
            "reconcile" => Action::Operate(Operation::Reconcile),
            "kill" => self.replica_fault(Fault::Kill)?,
            "restart" => self.replica_fault(Fault::Restart)?,
            "freeze" => self.replica_fault(Fault::Freeze)?,
            "hide-store" => Action::Disturb(Fault::HideStore(self.pause()?)),
            other => return Err(self.wrong(Some(other), ACTIONS)),
        })
    }

    fn replica_fault(&mut self, fault: fn(ReplicaName, Duration) -> Fault) -> Result<Action, ScriptError> {
        let word = self.words.next();
        let replica = word
            .and_then(ReplicaName::parse)
            .ok_or_else(|| self.wrong(word, format!("a replica, gateway-1 to gateway-{MOST_REPLICAS}")))?;
        Ok(Action::Disturb(fault(replica, self.pause()?)))
    }

    /// `for DURATION`.
    fn pause(&mut self) -> Result<Duration, ScriptError> {
        match self.words.next() {
            Some("for") => self.duration("a duration such as 1500ms or 2s"),
            other => Err(self.wrong(other, "for, as in: for 1500ms")),
        }
    }

    fn duration(&mut self, expected: &str) -> Result<Duration, ScriptError> {
        let word = self.words.next();
        let read = word.and_then(duration).ok_or_else(|| self.wrong(word, expected))?;
        if read > LONGEST {
            return Err(self.wrong(word, "at most 60m"));
        }
        Ok(read)
    }

    fn key(&mut self) -> Result<KeyName, ScriptError> {
        let word = self.words.next();
        let numbered = |word: &str| {
            let number = word.strip_prefix("key-")?.parse().ok()?;
            (1..=MOST_STEPS).contains(&number).then_some(KeyName::Numbered(number))
        };
        match word {
            Some("active") => Ok(KeyName::Active),
            Some("verify-only") => Ok(KeyName::VerifyOnly),
            other => other.and_then(numbered).ok_or_else(|| {
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
    fn finish(&mut self) -> Result<Option<String>, ScriptError> {
        let expect = match self.words.next() {
            None => return Ok(None),
            Some("expect") => self.words.next(),
            other => return Err(self.wrong(other, "the end of the line, or: expect CODE")),
        };
        let known = Code::ALL.iter().map(|code| code.as_str()).find(|code| Some(*code) == expect);
        let code = known.ok_or_else(|| self.wrong(expect, "a refusal's code, such as live-tokens"))?;
        match self.words.next() {
            None => Ok(Some(code.to_owned())),
            other => Err(self.wrong(other, "the end of the line")),
        }
    }
}

/// `4s`, `1500ms`, `1.5s`, `2m`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = if plain { number.parse().ok()? } else { return None };
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return None,
    };
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = u64::try_from(exact.as_micros().div_ceil(1000)).ok()?;
    Some(Duration::from_millis(millis))
}
