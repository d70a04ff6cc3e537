//! One compare-and-swap, and what must follow it.

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::{Context, Plan, Planned, Request, Verb, plan};
use keystile_keyring::{Digest, Manifest, Standing};
use keystile_store::{Commit, CommitError, Loaded};
use keystile_token::{PrivateKeys, digest};

use crate::{Committed, OperateError, Operator, Outcome, Progress, Ready, committed};

/// What a change was planned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// The store, which follows its witness.
    Store,
    /// Both, since they do not follow one another: a repair.
    StoreAndWitness,
}

impl Operator {
    /// Commits `plan`, tells the witness, and mends the bounds if the commit landed late.
    pub(crate) async fn commit(
        &self,
        plan: Plan,
        ready: Ready,
        progress: &mut dyn Progress,
    ) -> Result<Committed, OperateError> {
        let Ready { loaded, mut fresh, .. } = ready;
        let mut private = loaded.private;
        let mut made = None;
        if let Some((candidate, key)) = fresh.take_if(|_| plan.takes_candidate) {
            made = Some(candidate.kid.clone());
            private.insert(candidate.kid, key).map_err(OperateError::KidTaken)?;
        }
        self.write(&plan, private, Follows::Store).await?;
        progress.committed(&plan);
        self.extend_if_late(&plan, progress).await?;
        Ok(committed(&plan, made))
    }

    /// Stores the plan's manifest with the private keys that it calls present, then the witness.
    pub(crate) async fn write(
        &self,
        plan: &Plan,
        mut private: PrivateKeys,
        follows: Follows,
    ) -> Result<Digest, OperateError> {
        private.retain(|kid, _| plan.next.key(kid).is_some_and(|key| key.private == PrivateState::Present));
        let expected_digest = digest(&plan.next.to_json()?);
        let repairs = follows == Follows::StoreAndWitness;
        let commit = Commit { expected: plan.base, manifest: plan.next.clone(), private, repairs };
        let stored = match self.store.compare_and_swap(commit).await {
            Ok(stored) => stored,
            Err(CommitError::Conflict { found, .. }) => {
                let by = self.last_change().await;
                return Err(OperateError::Conflict { found, by });
            }
            Err(CommitError::Unknown(error)) if !self.landed(expected_digest).await => {
                return Err(OperateError::Commit(CommitError::Unknown(error)));
            }
            Err(CommitError::Unknown(_)) => expected_digest,
            Err(error) => return Err(OperateError::Commit(error)),
        };
        self.tell_witness(&plan.next).await?;
        Ok(stored)
    }

    /// Whoever did it may have been cut off before the witness was told.
    pub(crate) async fn done_before(
        &self,
        loaded: &Loaded,
        outcome: Outcome,
    ) -> Result<Outcome, OperateError> {
        self.tell_witness(&loaded.manifest).await?;
        Ok(outcome)
    }

    pub(crate) async fn tell_witness(&self, manifest: &Manifest) -> Result<(), OperateError> {
        let Err(source) = self.store.write_witness(manifest).await else {
            return Ok(());
        };
        // Whoever went on from this change may have told it first.
        let newer = self.store.witness().await.ok().flatten();
        match newer.map(|newer| newer.standing(Some(manifest))) {
            Some(Standing::InStep | Standing::Ahead) => Ok(()),
            _ => Err(OperateError::Witness { generation: manifest.generation, source }),
        }
    }

    /// Whether a commit of unknown fate happened.
    async fn landed(&self, expected: Digest) -> bool {
        self.store.load_public().await.is_ok_and(|loaded| loaded.digest == expected)
    }

    async fn last_change(&self) -> Option<(String, String)> {
        let loaded = self.store.load_public().await.ok()?;
        loaded.manifest.history.last().map(|change| (change.verb.clone(), change.actor.clone()))
    }

    /// The bounds of a plan allow for commit_delay from plan to commit; a commit that took longer is
    /// followed at once by one that extends them by the excess.
    async fn extend_if_late(&self, done: &Plan, progress: &mut dyn Progress) -> Result<(), OperateError> {
        let took = self.clock.now().since(done.planned_at);
        let excess = took.saturating_sub(done.next.policy.commit_delay);
        if excess == 0 || done.base.is_none() {
            return Ok(());
        }
        let ready = self.read(false).await?;
        let request = Request {
            verb: Verb::Extend { excess, planned_at: done.planned_at },
            actor: done.next.history.last().map(|change| change.actor.clone()).unwrap_or_default(),
            reason: Some(format!("generation {} landed late", done.next.generation)),
            request_id: None,
        };
        let context = Context {
            now: self.clock.now(),
            digest: ready.loaded.digest,
            reports: &ready.reports,
            candidate: None,
        };
        if let Planned::Change(plan) = plan(&ready.loaded.manifest, &request, &context)? {
            self.write(&plan, ready.loaded.private, Follows::Store).await?;
            progress.committed(&plan);
        }
        Ok(())
    }
}
