//! Loads, each a process on the other processor: this program's own, and as a check wrk and h2load.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde::Deserialize;

use crate::call::{Call, EMPTY_MESSAGE};
use crate::error::{BenchError, because};
use crate::generator::Load;
use crate::server::{Programs, Server};

/// The load's processor.
const PROCESSOR: &str = "1";

/// What wrk does with each token of a file in turn, and how it tells what came of it.
const SCRIPT: &str = r#"
local requests, count, at = {}, 0, 0
function init(args)
  for token in io.lines(args[1]) do
    count = count + 1
    requests[count] = wrk.format("GET", "/verify", {["Authorization"] = "Bearer " .. token})
  end
end
function request()
  at = at % count + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests":%d,"seconds":%f,"bad":%d}',
    summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

fn pinned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", PROCESSOR]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Whose tokens are presented, over how many connections, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    /// A file of tokens.
    pub(crate) tokens: PathBuf,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    /// Each token once.
    pub(crate) once: bool,
}

/// A load that runs.
pub(crate) struct Running(Child);

/// Starts presenting tokens.
pub(crate) fn start(
    call: Call,
    server: &Server,
    programs: &Programs,
    presented: &Presented,
) -> Result<Running, BenchError> {
    let &Presented { ref tokens, connections, seconds, once } = presented;
    let mut command = pinned(&programs.itself);
    command
        .args(["load", call.argument()])
        .arg(server.address().to_string())
        .arg(tokens)
        .arg(format!("--connections={connections}"))
        .arg(format!("--seconds={seconds}"))
        .args(once.then_some("--once"));
    command.spawn().map(Running).map_err(because("start the load"))
}

impl Running {
    /// Waits for its end.
    pub(crate) fn end(self) -> Result<Load, BenchError> {
        let output = self.0.wait_with_output().map_err(because("wait for the load"))?;
        serde_json::from_slice(&output.stdout).map_err(because("read what came of the load"))
    }
}

fn output(mut command: Command, tool: &str) -> Result<String, BenchError> {
    let Output { stdout, .. } = command.output().map_err(because(format!("run {tool}")))?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Requests per second that wrk makes of `/verify`, with each token in turn.
pub(crate) fn wrk(server: &Server, directory: &Path, presented: &Presented) -> Result<f64, BenchError> {
    #[derive(Deserialize)]
    struct Told {
        requests: f64,
        seconds: f64,
        bad: u64,
    }
    let script = directory.join("wrk.lua");
    std::fs::write(&script, SCRIPT).map_err(because("write wrk's script"))?;
    let mut command = pinned("wrk");
    command
        .args(["--threads=1", &format!("--connections={}", presented.connections)])
        .arg(format!("--duration={}s", presented.seconds))
        .arg("--script")
        .arg(script)
        .arg(format!("http://{}{}", server.address(), Call::Verify.path()))
        .arg("--")
        .arg(&presented.tokens);
    let text = output(command, "wrk")?;
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    match result.map(serde_json::from_str::<Told>) {
        Some(Ok(told)) if told.bad == 0 => Ok(told.requests / told.seconds),
        _ => Err(BenchError::new("verify tokens with wrk", text)),
    }
}

/// Refreshes per second that h2load makes, of the first token alone: its headers are the same in every request.
pub(crate) fn h2load(server: &Server, directory: &Path, presented: &Presented) -> Result<f64, BenchError> {
    let body = directory.join("empty-message");
    std::fs::write(&body, EMPTY_MESSAGE).map_err(because("write the message"))?;
    let tokens = std::fs::read_to_string(&presented.tokens).map_err(because("read the tokens"))?;
    let mut command = pinned("h2load");
    command
        .args(["--threads=1", "--max-concurrent-streams=1"])
        .arg(format!("--clients={}", presented.connections))
        .arg(format!("--duration={}", presented.seconds))
        .args(["--header=content-type: application/grpc", "--header=te: trailers"])
        .arg(format!("--header=authorization: Bearer {}", tokens.lines().next().unwrap_or_default()))
        .arg(format!("--data={}", body.display()))
        .arg(format!("http://{}{}", server.address(), Call::Refresh.path()));
    let text = output(command, "h2load")?;
    let line = text.lines().find_map(|line| line.strip_prefix("requests: "));
    let count = |word: &str| {
        let mut parts = line?.split(", ").filter_map(|part| part.split_once(' '));
        parts.find(|(_, what)| what.trim() == word).and_then(|(number, _)| number.parse::<u32>().ok())
    };
    match (count("succeeded"), count("failed")) {
        #[allow(clippy::cast_precision_loss, reason = "seconds")]
        (Some(succeeded), Some(0)) if succeeded > 0 => Ok(f64::from(succeeded) / presented.seconds as f64),
        _ => Err(BenchError::new("refresh tokens with h2load", text)),
    }
}
