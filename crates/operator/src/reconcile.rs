//! What a schedule runs: mend what is broken, resume what is in flight, do what is due. Idempotent.

use std::collections::BTreeSet;

use keystile_keyring::plan::{Candidate, Due, Plan, Remains, Request, Verb, due, repair};
use keystile_keyring::report::{Condition, Presence};
use keystile_keyring::{Digest, Manifest, ReplicaReport, UnixTime};
use keystile_store::{Loaded, Mirror};

use crate::commit::Follows;
use crate::{OperateError, Operator, Outcome, Progress, Rotation};

/// How reconcile goes about it.
#[derive(Clone, Debug, Default)]
pub struct Reconcile {
    /// Who runs it.
    pub actor: String,
    /// How long a rotation may wait for its gate.
    pub rotation: Rotation,
    /// Trust keys that the witness never saw, if the store's manifest has this digest.
    pub accept: Option<Digest>,
}

/// Reports of replicas that left are kept so long, in seconds, that no gate can still count from
/// them.
const REPORT_KEPT: u64 = 24 * 3600;

impl Operator {
    /// Does everything that is due; returns what it did, one line each.
    pub async fn reconcile(
        &self,
        how: &Reconcile,
        progress: &mut dyn Progress,
    ) -> Result<Vec<String>, OperateError> {
        let mut did = Vec::new();
        for line in self.store.clean().await.map_err(OperateError::Commit)? {
            progress.did(&line);
            did.push(line);
        }
        if let Some((plan, loaded)) = self.repair_due(how.accept, &how.actor, None).await? {
            let headline = plan.impact.headline.trim_end_matches('.');
            did.push(headline.replacen("Would repair", "repaired", 1));
            self.write(&plan, loaded.private, Follows::StoreAndWitness).await?;
            progress.committed(&plan);
        }
        let due = self.do_what_is_due(how, progress, &mut did).await;
        // Also where a rotation must wait for a fleet that does not come.
        let tended = self.tend(progress, &mut did).await;
        due.and(tended)?;
        Ok(did)
    }

    /// What reconcile would do, one line each; changes nothing.
    pub async fn preview_reconcile(&self, how: &Reconcile) -> Result<Vec<String>, OperateError> {
        if let Some((plan, _)) = self.repair_due(how.accept, &how.actor, None).await? {
            return Ok(vec![plan.impact.headline]);
        }
        let loaded = self.store.load().await?;
        let mut would = match due(&loaded.manifest, self.clock.now()) {
            Due::Nothing => Vec::new(),
            Due::Prune(_) => vec!["Would destroy what nothing needs any more.".to_owned()],
            Due::Resume(_) => vec!["Would go on with the rotation in flight.".to_owned()],
            Due::Rotate(_) => vec!["Would rotate: the active key is as old as rotate_every.".to_owned()],
        };
        match self.store.mirror().await? {
            Mirror::Current { .. } => {}
            mirror @ Mirror::Broken { in_the_way: Some(_), .. } => {
                would.push(format!("Would leave {}.", left_alone(&mirror)));
            }
            _ => would.push("Would write the single-key members anew.".to_owned()),
        }
        let witness = self.store.witness().await?;
        if witness.as_ref() != Some(&loaded.manifest) {
            would.push("Would tell the witness of the newest generation.".to_owned());
        }
        Ok(would)
    }

    /// The repair of a store that went back, was gone on with from a backup, or lost private keys, if it did.
    /// Reports and witness are read first: the store can only be as new as they, or newer. With a `fresh` key, that
    /// one signs from now on: the way out where no private key is left.
    pub(crate) async fn repair_due(
        &self,
        accepted: Option<Digest>,
        actor: &str,
        fresh: Option<&Candidate>,
    ) -> Result<Option<(Plan, Loaded)>, OperateError> {
        let reports = self.store.replicas().await?;
        let witness = self.store.witness().await?;
        let loaded = self.store.salvage().await?;
        let now = self.clock.now();
        let broken = loaded.manifest.standing(witness.as_ref()).is_broken();
        let newest = witness.filter(|_| broken).unwrap_or_else(|| loaded.manifest.clone());
        let present: BTreeSet<_> = loaded.private.kids().cloned().collect();
        let (manifest, digest) = (&loaded.manifest, loaded.digest);
        let remains =
            Remains { manifest, digest, private: &present, accepted, fresh, reports: &reports, held: 0 };
        let held = remains.newest_held(&newest, now)?;
        if !broken && held == 0 && !lost_private(manifest, &present) {
            return Ok(None);
        }
        let plan = repair(&Remains { held, ..remains }, &newest, actor, now)?;
        Ok(Some((plan, loaded)))
    }

    async fn do_what_is_due(
        &self,
        how: &Reconcile,
        progress: &mut dyn Progress,
        did: &mut Vec<String>,
    ) -> Result<(), OperateError> {
        // Each turn commits a change that makes the next one due or nothing: three at the most.
        for _ in 0..4 {
            let loaded = self.store.load_public().await?;
            let (verb, wait) = match due(&loaded.manifest, self.clock.now()) {
                Due::Nothing => return Ok(()),
                Due::Prune(verb) => (verb, false),
                Due::Resume(verb) | Due::Rotate(verb) => (verb, true),
            };
            let outcome = self.take(verb, wait, how, progress).await?;
            match outcome {
                Outcome::Committed(committed) => {
                    did.push(format!("{}: generation {}", committed.verb, committed.generation));
                }
                Outcome::Done(_) | Outcome::Nothing(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn take(
        &self,
        verb: Verb,
        wait: bool,
        how: &Reconcile,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, OperateError> {
        let request = Request {
            verb,
            actor: how.actor.clone(),
            reason: Some("reconcile".to_owned()),
            request_id: None,
        };
        if wait {
            self.rotate(&request, how.rotation, progress).await
        } else {
            self.apply(&request, progress).await
        }
    }

    /// Mirror, witness and old reports.
    async fn tend(&self, progress: &mut dyn Progress, did: &mut Vec<String>) -> Result<(), OperateError> {
        let mut say = |line: String, progress: &mut dyn Progress| {
            progress.did(&line);
            did.push(line);
        };
        if !matches!(self.store.mirror().await?, Mirror::Current { .. }) {
            let line = match self.store.repair_mirror().await.map_err(OperateError::Commit)? {
                mirror @ Mirror::Broken { in_the_way: Some(_), .. } => {
                    format!("left {}", left_alone(&mirror))
                }
                Mirror::Broken { why, .. } => format!("left the single-key members as they are: {why}"),
                Mirror::Current { .. } | Mirror::Stale { .. } => {
                    "wrote the single-key members anew".to_owned()
                }
            };
            say(line, progress);
        }
        let loaded = self.store.load_public().await?;
        if self.store.witness().await?.as_ref() != Some(&loaded.manifest) {
            self.tell_witness(&loaded.manifest).await?;
            say(format!("told the witness of generation {}", loaded.manifest.generation), progress);
        }
        let now = self.clock.now();
        for report in self.store.replicas().await? {
            if long_gone(&report, &loaded.manifest, now) {
                self.store.forget(&report.replica).await?;
                say(format!("forgot replica {}, which left long ago", report.replica), progress);
            }
        }
        Ok(())
    }
}

fn lost_private(manifest: &Manifest, present: &BTreeSet<keystile_keyring::Kid>) -> bool {
    let should =
        manifest.keys.iter().filter(|key| key.private == keystile_keyring::manifest::PrivateState::Present);
    should.into_iter().any(|key| !present.contains(&key.kid))
}

fn long_gone(report: &ReplicaReport, manifest: &Manifest, now: UnixTime) -> bool {
    if matches!(report.condition, Condition::Unreadable(_)) {
        return false;
    }
    let left = match report.presence(now, manifest.maxima(now)) {
        Presence::Live => return false,
        Presence::Withdrawn(at) | Presence::Lost(at) => at,
    };
    now > left.plus(manifest.maxima(now).verifier_cache.max(REPORT_KEPT))
}

/// That something stands where a single-key member should, and is nobody's to remove but the operator's.
fn left_alone(mirror: &Mirror) -> String {
    let why = match mirror {
        Mirror::Broken { why, .. } => why.as_str(),
        _ => "",
    };
    format!("the single-key members as they are: {why}; {}", mirror.remedy())
}
