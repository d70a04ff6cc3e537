//! The lines that both views print.

use crate::event::ReplicaEvent;
use crate::moment::Moment;
use crate::record::{Process, Record, StepRecord, StepState};
use crate::replica::ReplicaName;
use crate::settings::Settings;

use crate::verdict::mebibytes;
use keystile_keyring::in_words;
use keystile_picture::{Ink, briefly};
use keystile_system::Footprint;

/// The width of the column that says what a step did.
const DID: usize = 44;

/// The first line: what is rehearsed with.
pub(super) fn header(settings: &Settings) -> String {
    let life = match settings.policy.token_ttl {
        0 => "tokens that never expire".to_owned(),
        ttl => format!("token lifetime {ttl} s"),
    };
    let skew = if settings.skew == 0 { String::new() } else { format!(", clocks {} s apart", settings.skew) };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let soak =
        if settings.soak { format!(", for {}", in_words(settings.ends_at.as_secs())) } else { String::new() };
    format!(
        "Keystile {}: {} gateway{}, {} supervisor{}, {life}{skew}, directory store{soak}, seed {}",
        if settings.soak { "soak" } else { "rehearsal" },
        settings.gateways,
        plural(settings.gateways),
        settings.supervisors,
        plural(settings.supervisors),
        settings.seed
    )
}

/// A step that is over; `None` while it is not.
pub(super) fn step(step: &StepRecord, ink: Ink) -> Option<String> {
    let (did, measured) = match &step.state {
        StepState::Waiting | StepState::Running => return None,
        StepState::Done { did, measured } => (did.clone(), measured.clone()),
        StepState::Refused { code, found } if step.as_expected() => {
            (format!("refused [{code}], as it must be"), first_sentence(found))
        }
        StepState::Refused { code, found } => (format!("refused [{code}]"), first_sentence(found)),
        StepState::Failed(why) => ("failed".to_owned(), why.clone()),
    };
    let mark = if step.as_expected() { ink.green("✓") } else { ink.red("✗") };
    let began = step.began.unwrap_or_default();
    let line = format!("  {began}  {:<12} {did:<DID$} {mark} {measured}", step.step.action.verb());
    Some(line.trim_end().to_owned())
}

/// The rest is in the report.
fn first_sentence(text: &str) -> String {
    text.split(". ").next().unwrap_or_default().to_owned()
}

/// What befell a replica, where no step of the script says so.
pub(super) fn replica(at: Moment, replica: ReplicaName, what: &ReplicaEvent, ink: Ink) -> Option<String> {
    match what {
        ReplicaEvent::Died(how) => {
            let did = format!("{replica} ended by itself");
            Some(format!("  {at}  {:<12} {did:<DID$} {} {how}", "gateway", ink.red("✗")))
        }
        _ => None,
    }
}

/// What every process takes of the machine now; nothing where that is not measured.
pub(super) fn footprints(record: &Record) -> Option<String> {
    let told = |(process, took): (Process, Footprint)| {
        format!("{process} {} {} fds", mebibytes(took.resident_bytes), took.open_fds)
    };
    let told: Vec<_> = record.footprints.now().map(told).collect();
    (!told.is_empty()).then(|| told.join("   "))
}

/// The line that closes a run.
pub(super) fn closing(ended: Moment) -> String {
    format!("  {ended}  {:<12} the load ends after {}", "end", briefly(ended.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, StepEvent};
    use crate::fixture::{EPOCH, moment, settings};
    use keystile_keyring::UnixTime;

    fn lines(expect: &str, what: StepEvent) -> Option<String> {
        let mut settings = settings();
        settings.script = crate::script::parse(&format!("at 4s rotate {expect}")).expect("a script");
        let mut record = Record::new(settings, UnixTime(EPOCH));
        for what in [StepEvent::Began, what] {
            record.apply(&Event::Step { at: moment(4.2), step: 0, what });
        }
        step(&record.steps[0], Ink::default())
    }

    #[test]
    fn the_header_says_what_is_rehearsed_with() {
        assert_eq!(
            header(&settings()),
            "Keystile rehearsal: 2 gateways, 5 supervisors, token lifetime 6 s, directory store, seed 1729"
        );
        let one = Settings { gateways: 1, supervisors: 1, skew: 2, ..settings() };
        assert!(
            header(&one)
                .starts_with("Keystile rehearsal: 1 gateway, 1 supervisor, token lifetime 6 s, clocks 2 s")
        );
    }

    #[test]
    fn a_soak_says_how_long_and_what_processes_take() {
        let settings = Settings { soak: true, ends_at: std::time::Duration::from_mins(30), ..settings() };
        assert!(header(&settings).starts_with("Keystile soak: 2 gateways"), "{}", header(&settings));
        assert!(
            header(&settings).contains("directory store, for 30 min, seed 1729"),
            "{}",
            header(&settings)
        );
        let mut record = Record::new(settings, UnixTime(EPOCH));
        assert_eq!(footprints(&record), None);
        let took = Footprint { resident_bytes: 22_334_668, open_fds: 41 };
        for process in [Process::Own, Process::Gateway(ReplicaName::of_index(0))] {
            let sample = crate::record::Sample { at: moment(1.0), took };
            record.apply(&Event::Measured { process, sample });
        }
        let expected = "gateway-1 21.3 MiB 41 fds   supervisors 21.3 MiB 41 fds";
        assert_eq!(footprints(&record).as_deref(), Some(expected));
    }

    #[test]
    fn a_step_says_what_it_did_and_what_was_measured() {
        let done = StepEvent::Done { did: "8b98b466 → c41d09e7".into(), measured: "gate 0.8 s".into() };
        let expected = "  00:04  rotate       8b98b466 → c41d09e7                          ✓ gate 0.8 s";
        assert_eq!(lines("", done).as_deref(), Some(expected));
        assert_eq!(lines("", StepEvent::Told("more".into())), None, "it is not over");
    }

    #[test]
    fn a_refusal_is_good_where_it_must_be() {
        let refused = || StepEvent::Refused { code: "clock-skew".into(), found: "3 s apart".into() };
        let good = lines("expect clock-skew", refused()).expect("over");
        assert!(
            good.contains("refused [clock-skew], as it must be") && good.contains("✓ 3 s apart"),
            "{good}"
        );
        let bad = lines("", refused()).expect("over");
        assert!(bad.contains("refused [clock-skew]  ") && bad.contains("✗ 3 s apart"), "{bad}");
    }

    #[test]
    fn only_a_death_that_nobody_ordered_is_told() {
        let name = ReplicaName::of_index(1);
        let line = replica(moment(3.0), name, &ReplicaEvent::Died("exit status: 1".into()), Ink::default());
        assert!(line.expect("told").contains("gateway-2 ended by itself"));
        assert_eq!(replica(moment(3.0), name, &ReplicaEvent::Killed, Ink::default()), None);
    }
}
