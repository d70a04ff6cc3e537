//! What a replica says of itself, so that an operation can wait for the fleet and `status` show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ident::{Digest, Kid, ReplicaId};
use crate::manifest::limits;
use crate::policy::Maxima;
use crate::time::UnixTime;

/// One replica's own account of itself. Instants are of the replica's clock.
///
/// Members that this version does not know are ignored: a newer replica must not drop out of the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// Which process.
    pub replica: ReplicaId,
    /// Version of the program.
    pub build: String,
    /// When the process started.
    pub started_at: UnixTime,
    /// When it wrote this report.
    pub reported_at: UnixTime,
    /// The generation it has loaded; 0 before its first.
    pub generation: u64,
    /// Digest of that generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How it is.
    pub condition: Condition,
    /// When a read that confirmed the generation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<UnixTime>,
    /// The keys it holds.
    #[serde(default)]
    pub keys: Vec<KeyReport>,
    /// Keys that it knows to be revoked, held or gone: a repair must not take them back (I8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Kid>,
    /// The lineage floor that it holds to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage_floor: Option<UnixTime>,
    /// Set when it stopped gracefully.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<UnixTime>,
    /// Why its TLS files, as they are now, are not in force, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_stale: Option<String>,
    /// The replica's clock less the store's, in seconds, where the store can tell: see
    /// [`ReplicaReport::offset`]. Never stored.
    #[serde(skip)]
    pub clock_offset: Option<i64>,
}

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum Condition {
    /// Started, nothing loaded yet.
    Loading,
    /// Serves.
    Ready,
    /// Serves from the last good keyring: the reason why it holds no newer one.
    Degraded(String),
    /// Nobody knows: what stands where a report should cannot be read, and why. Never stored.
    #[serde(skip)]
    Unreadable(String),
}

/// What a replica says of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// The key.
    pub kid: Kid,
    /// When the replica first held it.
    pub held_since: UnixTime,
    /// Whether it held it from its first load on, and so never served without it.
    pub from_start: bool,
    /// What it saw of the key's tokens.
    #[serde(default)]
    pub usage: KeyUsage,
}

/// What a replica saw of a key's tokens, remembered within bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsage {
    /// Distinct sandboxes whose newest token here is of this key.
    pub sandboxes: u64,
    /// When the last token of the key was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<UnixTime>,
    /// Sandboxes that hold a token of the key that never expires; at most [`KeyUsage::NAMED`] of them.
    #[serde(default)]
    pub never_expires: Vec<String>,
    /// Sandboxes by the method their lineage began with.
    #[serde(default)]
    pub methods: BTreeMap<String, u64>,
}

impl KeyUsage {
    /// How many sandboxes a report names.
    pub const NAMED: usize = 16;
    /// How many methods it counts.
    const METHODS: usize = 8;

    fn tidy(&mut self) {
        self.never_expires.truncate(Self::NAMED);
        self.never_expires.iter_mut().for_each(|sandbox| tidy(sandbox, 128));
        let methods = std::mem::take(&mut self.methods).into_iter().take(Self::METHODS);
        self.methods = methods
            .map(|(mut method, count)| {
                tidy(&mut method, 64);
                (method, count)
            })
            .collect();
    }
}

/// What a report is worth at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The replica counts.
    Live,
    /// It stopped gracefully at this instant.
    Withdrawn(UnixTime),
    /// It has not been heard of; it stopped counting after this instant.
    Lost(UnixTime),
}

impl ReplicaReport {
    /// By how many seconds a replica's clock is ahead of the store's for certain, if it showed `reported` when the
    /// report was made and the store's showed `received` when it was written.
    ///
    /// Both are whole seconds, and the writing takes a moment: a second of the difference may be none. It is left
    /// out, because two clocks that differ by max_skew are within the policy, and no operation may be refused for
    /// what the reading of a clock adds. A greater difference shows at the latest when it is two seconds greater.
    pub fn offset(reported: i64, received: i64) -> i64 {
        let apart = reported.saturating_sub(received);
        apart.saturating_sub(apart.signum())
    }

    /// What stands in for a report that cannot be read: a replica that holds nothing, as far as anybody knows.
    /// So it holds up the gate until it is older than any live replica's report (I2). `name` is made fit to
    /// print.
    pub fn unreadable(name: &str, written_at: UnixTime, why: &str) -> Self {
        let plain = |char: char| if char.is_ascii_graphic() { char } else { '_' };
        let name: String = name.chars().take(ReplicaId::MAX).map(plain).collect();
        let mut why = why.to_owned();
        tidy(&mut why, 512);
        Self {
            replica: ReplicaId::new(name).unwrap_or_else(|_| ReplicaId::unnamed()),
            build: String::new(),
            started_at: written_at,
            reported_at: written_at,
            generation: 0,
            digest: None,
            condition: Condition::Unreadable(why),
            confirmed_at: None,
            keys: Vec::new(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        }
    }

    /// Reads a stored report. Its texts are cut to their limits and made safe to print, not refused:
    /// a replica that says too much still counts.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut report: Self = serde_json::from_slice(bytes)?;
        tidy(&mut report.build, 64);
        if let Condition::Degraded(why) = &mut report.condition {
            tidy(why, 512);
        }
        if let Some(why) = &mut report.tls_stale {
            tidy(why, 512);
        }
        report.keys.truncate(limits::KEYS);
        report.revoked.truncate(limits::KEYS + limits::TOMBSTONES);
        report.keys.iter_mut().for_each(|key| key.usage.tidy());
        Ok(report)
    }

    /// Whether the replica counts at `now`: it does until its last report is older than
    /// max_staleness + max_skew, for until then it may mint.
    pub fn presence(&self, now: UnixTime, maxima: Maxima) -> Presence {
        if let Some(at) = self.withdrawn_at {
            return Presence::Withdrawn(at);
        }
        let counts_until = self.reported_at.plus(maxima.staleness + maxima.skew);
        if now > counts_until { Presence::Lost(counts_until) } else { Presence::Live }
    }

    /// What it says of `kid`.
    pub fn key(&self, kid: &Kid) -> Option<&KeyReport> {
        self.keys.iter().find(|key| key.kid == *kid)
    }
}

/// Visible ASCII and spaces only, at most `max` bytes: nothing that a terminal or a log would obey.
fn tidy(text: &mut String, max: usize) {
    let plain = |char: char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' };
    *text = text.chars().take(max).map(plain).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAXIMA: Maxima = Maxima { staleness: 300, skew: 30, verifier_cache: 300 };

    fn report(extra: &str) -> Vec<u8> {
        let head =
            r#""replica":"gateway-0","build":"1.2.3","started_at":10,"reported_at":100,"generation":7"#;
        format!("{{{head}{extra}}}").into_bytes()
    }

    #[test]
    fn a_replica_counts_until_it_may_mint_no_more() {
        let read = |at| ReplicaReport { reported_at: UnixTime(at), ..sample() };
        assert_eq!(read(100).presence(UnixTime(430), MAXIMA), Presence::Live);
        assert_eq!(read(100).presence(UnixTime(431), MAXIMA), Presence::Lost(UnixTime(430)));
        assert_eq!(read(100).presence(UnixTime(0), MAXIMA), Presence::Live, "its clock may be ahead");
    }

    #[test]
    fn a_withdrawn_replica_left_when_it_said_so() {
        let left = ReplicaReport { withdrawn_at: Some(UnixTime(120)), ..sample() };
        assert_eq!(left.presence(UnixTime(121), MAXIMA), Presence::Withdrawn(UnixTime(120)));
        assert_eq!(left.presence(UnixTime(9000), MAXIMA), Presence::Withdrawn(UnixTime(120)));
    }

    /// Two clocks, `apart` milliseconds, read at every point of a second, with up to a second between.
    fn offsets(apart: i64) -> impl Iterator<Item = i64> {
        let second = |millis: i64| millis.div_euclid(1000);
        let at = (0..1000).step_by(50).map(|within| 1_000_000 + within);
        at.flat_map(move |at| {
            let written = (0..1000).step_by(50).map(move |took| at + took);
            written.map(move |written| ReplicaReport::offset(second(at + apart), second(written)))
        })
    }

    #[test]
    fn clocks_that_differ_by_max_skew_never_show_more() {
        for apart in (-30_000..=30_000).step_by(125) {
            assert!(offsets(apart).all(|offset| offset.abs() <= 30), "{apart} ms");
        }
    }

    #[test]
    fn clocks_that_differ_by_two_seconds_more_than_max_skew_show_it() {
        let shows = |apart| offsets(apart).any(|offset: i64| offset.abs() > 30);
        assert!(shows(32_000) && shows(-32_000));
        assert!([33_000, -33_000].iter().all(|apart| offsets(*apart).all(|offset| offset.abs() > 30)));
        assert_eq!(ReplicaReport::offset(i64::MAX, i64::MIN), i64::MAX - 1);
    }

    #[test]
    fn a_report_of_a_newer_version_is_read() {
        let bytes = report(
            r#","condition":{"is":"ready"},"shoe_size":43,"keys":[{"kid":"a","held_since":1,"from_start":true,"colour":"red","usage":{"sandboxes":2,"mood":"good"}}]"#,
        );
        let read = ReplicaReport::from_json(&bytes).unwrap();
        let key = read.key(&Kid::new("a").unwrap()).unwrap();
        assert_eq!((key.held_since, key.from_start, key.usage.sandboxes), (UnixTime(1), true, 2));
        assert_eq!((read.condition, read.clock_offset), (Condition::Ready, None));
    }

    /// An older version's report says nothing of TLS, and an older version is told nothing while all is well.
    #[test]
    fn what_is_wrong_with_tls_is_told_only_where_something_is() {
        assert_eq!(sample().tls_stale, None);
        assert!(!serde_json::to_string(&sample()).unwrap().contains("tls"));
        let stale = ReplicaReport { tls_stale: Some("no such file".to_owned()), ..sample() };
        assert_eq!(ReplicaReport::from_json(&serde_json::to_vec(&stale).unwrap()).unwrap(), stale);
    }

    #[test]
    fn texts_of_a_report_are_cut_and_made_safe_to_print() {
        let why = format!("\u{1b}[31mred\u{202e}{}", "x".repeat(2000));
        let named: Vec<_> = (0..40).map(|number| format!("sandbox-{number}\n")).collect();
        let methods: BTreeMap<_, _> = (0..40).map(|number| (format!("method {number}\t"), 1)).collect();
        let keys: Vec<_> = (0..20)
            .map(|number| KeyReport {
                kid: Kid::new(format!("k{number}")).unwrap(),
                held_since: UnixTime(1),
                from_start: false,
                usage: KeyUsage {
                    never_expires: named.clone(),
                    methods: methods.clone(),
                    ..KeyUsage::default()
                },
            })
            .collect();
        let tls_stale = Some(why.clone());
        let revoked = (0..300).map(|number| Kid::new(format!("r{number}")).unwrap()).collect();
        let hostile =
            ReplicaReport { condition: Condition::Degraded(why), keys, revoked, tls_stale, ..sample() };
        let read = ReplicaReport::from_json(&serde_json::to_vec(&hostile).unwrap()).unwrap();
        let Condition::Degraded(why) = &read.condition else { panic!("found {:?}", read.condition) };
        assert!(why.starts_with("?[31mred?xxx") && why.len() == 512, "{why}");
        assert_eq!(read.tls_stale.as_ref(), Some(why));
        assert_eq!(read.keys.len(), limits::KEYS);
        assert_eq!(read.revoked.len(), 264, "every key and every tombstone of a keyring");
        assert_eq!(read.keys[0].usage.never_expires.len(), KeyUsage::NAMED);
        assert_eq!(read.keys[0].usage.never_expires[3], "sandbox-3?");
        assert_eq!(read.keys[0].usage.methods.len(), KeyUsage::METHODS);
        assert!(read.keys[0].usage.methods.contains_key("method 0?"));
    }

    #[test]
    fn i2_a_report_that_cannot_be_read_counts_as_a_replica_without_keys() {
        let unread = ReplicaReport::unreadable("gate\nway\u{1b}.json", UnixTime(100), "cut off\n");
        assert_eq!(unread.replica.as_str(), "gate_way_.json");
        assert_eq!(unread.condition, Condition::Unreadable("cut off?".to_owned()));
        assert_eq!(unread.presence(UnixTime(430), MAXIMA), Presence::Live);
        assert_eq!(unread.presence(UnixTime(431), MAXIMA), Presence::Lost(UnixTime(430)));
        assert_eq!(ReplicaReport::unreadable("", UnixTime(1), "").replica.as_str(), "unnamed");
    }

    #[test]
    fn what_is_not_a_report_is_an_error() {
        for bytes in [&b""[..], b"{}", b"[1]", &report(r#","condition":{"is":"asleep"}"#)] {
            assert!(ReplicaReport::from_json(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    fn sample() -> ReplicaReport {
        ReplicaReport::from_json(&report(r#","condition":{"is":"loading"}"#)).unwrap()
    }
}
