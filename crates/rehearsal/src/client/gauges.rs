//! Reads a gateway's own gauges of its process, as Prometheus would.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt as _;
use keystile_system::Footprint;
use tonic::transport::{Channel, Endpoint};

use super::{CONNECT, MOST_BYTES, call};
use crate::error::RehearsalError;

/// How long the gauges may take to answer. One that stands still is measured another time.
const PATIENCE: Duration = Duration::from_millis(500);

/// The connection to one gateway's admin listener; made when first used, and again whenever it breaks.
pub(crate) struct Gauges(Channel);

impl Gauges {
    /// The connection to the admin listener at `address`.
    pub(crate) fn of(address: SocketAddr) -> Result<Self, RehearsalError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(RehearsalError::Connect)?;
        Ok(Self(endpoint.connect_timeout(CONNECT).connect_lazy()))
    }

    /// What the process takes; `None` if it does not answer, or its machine does not say.
    pub(crate) async fn footprint(&self) -> Option<Footprint> {
        let asked = async {
            let response = call(self.0.clone(), "/metrics", None).await.ok()?;
            let body = http_body_util::Limited::new(response.into_body(), MOST_BYTES);
            let body = body.collect().await.ok()?.to_bytes();
            read(std::str::from_utf8(&body).ok()?)
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }
}

fn read(metrics: &str) -> Option<Footprint> {
    let gauge = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.parse().ok()
    };
    let resident_bytes = gauge("process_resident_memory_bytes")?;
    Some(Footprint { resident_bytes, open_fds: gauge("process_open_fds")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauges_are_read_where_they_are() {
        let metrics = "# TYPE process_open_fds gauge\nprocess_open_fds 41\nkeystile_ready 1\n\
                       process_resident_memory_bytes 12345678\n# EOF\n";
        assert_eq!(read(metrics), Some(Footprint { resident_bytes: 12_345_678, open_fds: 41 }));
        for other in ["", "process_open_fds 41\n", "process_open_fds x\nprocess_resident_memory_bytes 1\n"] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}
