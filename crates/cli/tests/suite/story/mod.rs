//! A stage for stories: a world that stands still until the story moves it.

mod fleet;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use keystile_cli::{Journal, Place, Stream, World, run};
use keystile_keyring::UnixTime;
use keystile_store::{DirectoryStore, MemoryStore, Store};
use keystile_system::{Clock, Entropy, EntropyError, Environment, Guarded};
use keystile_testkit::ManualClock;

pub(crate) use fleet::openshell_key_set;

/// 2026-11-23 14:00:00 UTC: when every story begins.
const BEGINNING: UnixTime = UnixTime(1_795_442_400);

/// One story's world.
pub(crate) struct Stage {
    clock: ManualClock,
    entropy: Arc<Counted>,
    stores: Arc<Mutex<BTreeMap<String, Arc<dyn Store>>>>,
    stdin: Vec<u8>,
    variables: Variables,
    columns: Option<u16>,
    listens: usize,
    directory: tempfile::TempDir,
}

/// Randomness that is the same in every run. Keys made with it protect nothing.
#[derive(Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for byte in bytes {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let mixed = (count + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            *byte = mixed[0] ^ mixed[4];
        }
        Ok(())
    }
}

/// The variables of a story, by name.
#[derive(Clone, Default)]
struct Variables(BTreeMap<String, String>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        self.0.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }
}

/// What was said, on either stream, in its order, and how often the reader still listens.
#[derive(Clone)]
struct Said(Arc<Mutex<(Vec<u8>, usize)>>);

impl Said {
    fn to(listens: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), listens))))
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut said = self.0.lock().expect("one writer");
        said.1 = said.1.checked_sub(1).ok_or(std::io::ErrorKind::BrokenPipe)?;
        said.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Stage {
    /// An empty stage. A store whose place begins with `./` is a directory; any other is in memory.
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::at(BEGINNING),
            entropy: Arc::default(),
            stores: Arc::default(),
            stdin: Vec::new(),
            variables: Variables::default(),
            columns: None,
            listens: usize::MAX,
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    /// The same at a terminal of so many columns.
    pub(crate) fn at_terminal(self, columns: u16) -> Self {
        Self { columns: Some(columns), ..self }
    }

    /// The same with a reader that goes away after so many texts.
    pub(crate) fn heard(&mut self, listens: usize) {
        self.listens = listens;
    }

    /// Sets a variable of the environment.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.0.insert(name.to_owned(), value.to_owned());
    }

    fn stream(&self, said: &Said) -> Stream {
        match self.columns {
            Some(columns) => Stream::terminal(said.clone(), move || columns),
            None => Stream::pipe(said.clone()),
        }
    }

    /// Tells a story: everything in it as it stands, and below each command what is said now.
    pub(crate) fn tell(&mut self, script: &str) -> String {
        let mut told = String::new();
        let mut in_console = false;
        for line in script.lines() {
            match line {
                "```console" => in_console = true,
                "```" => in_console = false,
                _ => {}
            }
            let command = line.strip_prefix("$ ").filter(|_| in_console);
            if command.is_some() || !in_console || line == "```console" {
                told.push_str(line);
                told.push('\n');
            }
            if let Some(command) = command {
                told.push_str(&self.perform(command));
            }
        }
        told
    }

    /// Carries out one command of a story, and says what it said.
    pub(crate) fn perform(&mut self, command: &str) -> String {
        let words = words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["keystile", ..] => self.keystile(command),
            ["sleep", seconds] => {
                let (number, unit) = seconds.split_at(seconds.len() - 1);
                let unit = match unit {
                    "s" => 1,
                    "m" => 60,
                    "h" => 3600,
                    "d" => 86_400,
                    other => panic!("no unit {other}"),
                };
                self.clock.advance(number.parse::<u64>().expect("a number") * unit);
                String::new()
            }
            ["replicas", replicas @ ..] => {
                fleet::report(self.store("keystile").as_ref(), &self.clock, replicas);
                String::new()
            }
            ["openshell-generate-certs", place] => {
                let set = fleet::openshell_key_set();
                let members = set.iter().map(|(name, bytes)| (name.as_str(), bytes.as_bytes()));
                let store = MemoryStore::with_key_set(Arc::new(self.clock.clone()), members);
                self.stores.lock().expect("stores").insert((*place).to_owned(), Arc::new(store));
                String::new()
            }
            ["openshell-token", which, file] => {
                std::fs::write(self.path(file), fleet::openshell_token(which)).expect("a file");
                String::new()
            }
            ["cp" | "rm" | "mv" | "cat" | "chmod", ..] => self.shell(&words),
            other => panic!("nobody can {other:?}"),
        }
    }

    /// A command of the system, in the story's directory.
    fn shell(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new(words[0]);
        let done = command.args(&words[1..]).current_dir(self.directory.path()).output().expect("it runs");
        assert!(done.status.success(), "{words:?} failed");
        String::from_utf8(done.stdout).expect("text")
    }

    fn store(&self, place: &str) -> Arc<dyn Store> {
        let mut stores = self.stores.lock().expect("stores");
        let fresh = || Arc::new(MemoryStore::new(Arc::new(self.clock.clone()))) as Arc<dyn Store>;
        Arc::clone(stores.entry(place.to_owned()).or_insert_with(fresh))
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the program; `< FILE` is its standard input, `./` the story's directory.
    pub(crate) fn keystile(&mut self, command: &str) -> String {
        let here = format!("{}/", self.directory.path().display());
        let mut words = words(command);
        if let Some(at) = words.iter().position(|word| word == "<") {
            let file = self.path(&words[at + 1]);
            self.stdin = std::fs::read(file).expect("a file");
            words.truncate(at);
        }
        let words = words.into_iter().map(|word| match word.strip_prefix("./") {
            Some(name) => format!("{here}{name}"),
            None => word,
        });
        let said = Said::to(self.listens);
        let exit = run(words.map(Into::into), self.world(&said));
        let said = String::from_utf8(said.0.lock().expect("one reader").0.clone()).expect("text");
        let said = said.replace(&here, "./");
        if exit.code() == 0 { said } else { format!("? {}\n{said}", exit.code()) }
    }

    fn world(&mut self, said: &Said) -> World {
        let (shifted, stores) = (self.clock.clone(), Arc::clone(&self.stores));
        let here = self.directory.path().to_owned();
        World {
            clock: Arc::new(self.clock.clone()),
            shifted: Box::new(move |_| Arc::new(shifted.clone())),
            entropy: Arc::clone(&self.entropy) as Arc<dyn Entropy>,
            stores: Box::new(move |place, clock: Arc<dyn Clock>| {
                let Place::Directory { path, .. } = place else { panic!("no story has a cluster") };
                if path.starts_with(&here) {
                    return Ok(Arc::new(DirectoryStore::new(path, clock)?));
                }
                let name = path.display().to_string();
                let mut stores = stores.lock().expect("stores");
                let fresh = || Arc::new(MemoryStore::new(clock)) as Arc<dyn Store>;
                Ok(Arc::clone(stores.entry(name).or_insert_with(fresh)))
            }),
            logs: Box::new(|_| Journal::default()),
            guard_memory: Box::new(|| Guarded { from_dumps: true, from_swap: true }),
            environment: Arc::new(self.variables.clone()),
            zone: TimeZone::UTC,
            actor: "ada@example".to_owned(),
            stdin: Mutex::new(Box::new(std::io::Cursor::new(std::mem::take(&mut self.stdin)))),
            stdout: self.stream(said),
            stderr: self.stream(said),
            join_streams: Box::new(|| Ok(())),
        }
    }
}

/// The words of a command; double quotes keep blanks together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in command.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("a word").push(other),
        }
    }
    words
}
