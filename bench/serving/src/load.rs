//! The load, from a second process on the other processor: wrk for HTTP, h2load for gRPC.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::error::{BenchError, because};
use crate::server::Server;

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
    'RESULT {"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"p50":%f,"p99":%f,"p999":%f}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
"#;

/// What came of a load. Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Answers of 400 and above.
    pub(crate) refused: u64,
    /// Requests without an answer.
    pub(crate) broken: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Load {
    /// Requests per second.
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// A load that runs.
pub(crate) struct Running(Child);

/// Starts presenting each token of the file `tokens` in turn over `connections` connections.
pub(crate) fn verify(
    server: &Server,
    directory: &Path,
    tokens: &str,
    connections: usize,
    seconds: u64,
) -> Result<Running, BenchError> {
    let script = directory.join("wrk.lua");
    std::fs::write(&script, SCRIPT).map_err(because("write wrk's script"))?;
    let child = Command::new("taskset")
        .args(["-c", PROCESSOR, "wrk", "--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(script)
        .arg(format!("http://{}/verify", server.address()))
        .arg("--")
        .arg(directory.join(tokens))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    child.map(Running).map_err(because("start wrk"))
}

impl Running {
    /// Waits for its end.
    pub(crate) fn end(self) -> Result<Load, BenchError> {
        let output = self.0.wait_with_output().map_err(because("wait for wrk"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let result = result.ok_or_else(|| BenchError::new("read wrk's result", text.clone()))?;
        serde_json::from_str(result).map_err(because("read wrk's result"))
    }
}

/// Refreshes the same token over and over; how many refreshes were answered.
pub(crate) fn refresh(
    server: &Server,
    directory: &Path,
    token: &str,
    seconds: u64,
) -> Result<u64, BenchError> {
    // An empty message: a byte that says it is not compressed, and its length.
    let body = directory.join("empty-message");
    std::fs::write(&body, [0; 5]).map_err(because("write the message"))?;
    let output = Command::new("taskset")
        .args(["-c", PROCESSOR, "h2load", "--threads=1", "--clients=16", "--max-concurrent-streams=4"])
        .arg(format!("--duration={seconds}"))
        .args(["--header=content-type: application/grpc", "--header=te: trailers"])
        .arg(format!("--header=authorization: Bearer {token}"))
        .arg(format!("--data={}", body.display()))
        .arg(format!("http://{}/openshell.v1.OpenShell/RefreshSandboxToken", server.address()))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(because("run h2load"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("requests: "));
    let count = |word: &str| {
        let mut parts = line?.split(", ").filter_map(|part| part.split_once(' '));
        parts.find(|(_, what)| what.trim() == word).and_then(|(number, _)| number.parse::<u64>().ok())
    };
    match (count("succeeded"), count("failed")) {
        (Some(succeeded), Some(0)) if succeeded > 0 => Ok(succeeded),
        _ => Err(BenchError::new("refresh tokens with h2load", text.clone())),
    }
}
