//! Rules with one thing taken out, and the world in which that shows. C01 to C17 are the counterexamples of
//! [`docs/explanation/safety.md`](../../../../docs/explanation/safety.md), found anew.

use keystile_keyring::gate::Fleet;
use keystile_keyring::manifest::{Key, Lifetime, PrivateState};
use keystile_keyring::plan::{Context, Mode, Plan, Planned, Remains, Request, Verb, plan, repair};
use keystile_keyring::{Breach, Code, KeyState, Kid, Manifest, Refusal, ReplicaReport, Standing, UnixTime};

use super::rules::Rules;
use crate::world::{Token, Why, verify};

type Outcome = Result<Planned, Refusal>;

/// The plan as it is, its outcome changed.
fn changed(
    manifest: &Manifest,
    request: &Request,
    context: &Context<'_>,
    change: impl FnOnce(&mut Manifest, UnixTime),
) -> Outcome {
    let planned = plan(manifest, request, context)?;
    Ok(match planned {
        Planned::Change(mut plan) => {
            change(&mut plan.next, plan.planned_at);
            Planned::Change(plan)
        }
        other => other,
    })
}

/// The plan made from `manifest` under another policy; what it leads to has the right one again.
fn under(
    manifest: &Manifest,
    request: &Request,
    context: &Context<'_>,
    change: impl FnOnce(&mut Manifest),
) -> Outcome {
    let mut other = manifest.clone();
    change(&mut other);
    changed(&other, request, context, |next, _| next.policy = manifest.policy.clone())
}

/// Keys that this plan superseded.
fn just_superseded<'a>(before: &'a Manifest, next: &'a mut Manifest) -> impl Iterator<Item = &'a mut Key> {
    let was = |kid: &Kid| before.key(kid).and_then(|key| key.superseded).map(|bounds| bounds.at);
    next.keys
        .iter_mut()
        .filter(move |key| key.superseded.is_some_and(|bounds| was(&key.kid) != Some(bounds.at)))
}

/// Ends the windows of what this plan superseded so much earlier.
fn tighter(before: &Manifest, next: &mut Manifest, seconds: u64) {
    for key in just_superseded(before, next) {
        let bounds = key.superseded.as_mut().expect("it is superseded");
        bounds.last_iat = bounds.last_iat.minus(seconds);
        bounds.accept_until = bounds.accept_until.map(|until| until.minus(seconds));
    }
}

fn sets(request: &Request) -> bool {
    matches!(request.verb, Verb::SetPolicy(_))
}

const KEYRING: Rules = Rules::KEYRING;

/// A rollback removes the activation ahead, and its key.
pub const C01: Rules = Rules {
    plan: |manifest, request, context| {
        let ahead = manifest.activation_ahead(context.now).map(|ahead| ahead.kid.clone());
        let removes = matches!(request.verb, Verb::Rollback { .. });
        changed(manifest, request, context, |next, _| {
            let Some(kid) = ahead.filter(|_| removes) else { return };
            next.keys.retain(|key| key.kid != kid);
            next.timeline = manifest.timeline.iter().filter(|entry| entry.kid != kid).cloned().collect();
            let last = next.timeline.last().map(|entry| entry.kid.clone());
            next.keys
                .iter_mut()
                .filter(|key| Some(&key.kid) == last.as_ref())
                .for_each(|key| key.superseded = None);
        })
    },
    ..KEYRING
};

/// A key that does not sign yet is revoked without a look at the instant from which it was to sign.
pub const C02: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, now| {
            if let Verb::Revoke { kid, .. } = &request.verb {
                let ahead = manifest.timeline.iter().filter(|entry| entry.from > now && entry.kid == *kid);
                next.timeline.extend(ahead.cloned());
                next.timeline.sort_by_key(|entry| entry.from);
            }
        })
    },
    ..KEYRING
};

/// What a key may sign is settled when it is made.
pub const C03: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            let ttl = next.policy.token_ttl;
            for key in &mut next.keys {
                match manifest.key(&key.kid) {
                    None => key.longest_token = Lifetime::Bounded(ttl),
                    Some(before) if !sets(request) => key.longest_token = before.longest_token,
                    Some(_) => {}
                }
            }
        })
    },
    ..KEYRING
};

/// A raise of the lifetime reaches only the keys that sign by the operator's clock.
pub const C04: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            for key in next.keys.iter_mut().filter(|_| sets(request)).filter(|key| key.superseded.is_some()) {
                key.longest_token =
                    manifest.key(&key.kid).map_or(key.longest_token, |before| before.longest_token);
            }
        })
    },
    ..KEYRING
};

/// A lowered staleness counts at once.
pub const C05_AT_ONCE: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| next.policy_before = None)
    },
    ..KEYRING
};

/// Bounds are computed anew from the staleness of today.
pub const C05_ANEW: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            let (before, after) = (manifest.policy.max_staleness, next.policy.max_staleness);
            for key in next.keys.iter_mut().filter(|_| sets(request) && after < before) {
                if let Some(bounds) = &mut key.superseded {
                    bounds.last_iat = bounds.last_iat.minus(before - after);
                }
            }
        })
    },
    ..KEYRING
};

/// The bounds take no account of the time from plan to commit.
pub const C06: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            let delay = next.policy.commit_delay;
            tighter(manifest, next, delay);
        })
    },
    ..KEYRING
};

/// A commit that landed too late is left as it is.
pub const C06_LATE: Rules = Rules {
    plan: |manifest, request, context| {
        let late = matches!(request.verb, Verb::Extend { .. });
        changed(manifest, request, context, |next, _| {
            if late {
                next.keys.clone_from(&manifest.keys);
            }
        })
    },
    ..KEYRING
};

/// A key that signs again keeps its bounds, and replicas load that.
pub const C07: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            for key in next.keys.iter_mut().filter(|key| key.superseded.is_none()) {
                key.superseded = manifest.key(&key.kid).and_then(|before| before.superseded);
            }
        })
    },
    structure: |_| Ok(()),
    ..KEYRING
};

/// A prepared key signs as soon as somebody says so.
pub const C09_NO_GATE: Rules = Rules {
    plan: |manifest, request, context| {
        let mut request = request.clone();
        if let Verb::Activate { .. } = request.verb {
            request.verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
        }
        plan(manifest, &request, context)
    },
    ..KEYRING
};

/// A schedule of a second will do.
pub const C09_SCHEDULE: Rules = Rules {
    plan: |manifest, request, context| {
        let scheduled = matches!(request.verb, Verb::Rotate { mode: Mode::Scheduled(_), .. });
        changed(manifest, request, context, |next, now| {
            if let Some(last) = next.timeline.last_mut().filter(|_| scheduled) {
                last.from = now.plus(1);
            }
        })
    },
    ..KEYRING
};

/// A replica verifies for ever without its store.
pub const C10: Rules = Rules { verifies_for: |_| 60, ..KEYRING };

/// What is over on the operator's clock is destroyed, without a wait for slower ones.
pub const C11_PRUNE: Rules = Rules {
    plan: |manifest, request, context| {
        let mut earlier = manifest.clone();
        let ends = earlier.keys.iter_mut().filter_map(|key| key.superseded.as_mut());
        for bounds in ends.filter(|_| request.verb == Verb::Prune) {
            bounds.accept_until = bounds.accept_until.map(|until| until.minus(manifest.policy.max_skew));
        }
        changed(&earlier, request, context, |next, _| {
            for key in next.keys.iter_mut().filter(|_| request.verb == Verb::Prune) {
                key.superseded = manifest.key(&key.kid).and_then(|before| before.superseded);
            }
        })
    },
    ..KEYRING
};

/// Without a rollback in mind the old private key goes at once.
pub const C11_CUSTODY: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, now| {
            let given_up = manifest.operation.as_ref().is_some_and(|operation| operation.no_rollback);
            for key in just_superseded(manifest, next).filter(|_| given_up) {
                key.private = PrivateState::DestroyedAt(now);
            }
        })
    },
    ..KEYRING
};

/// A deadline is a deadline.
pub const C12: Rules = Rules {
    plan: |manifest, request, context| {
        let mut request = request.clone();
        let endless = |kid: &Kid| manifest.key(kid).is_some_and(|key| key.never_expires);
        if let Verb::Retire { kid, force, .. } = &mut request.verb {
            *force |= endless(kid);
        }
        plan(manifest, &request, context)
    },
    ..KEYRING
};

/// A rollback leads to the key that signed before this one.
pub const C13: Rules = Rules {
    plan: |manifest, request, context| {
        let mut request = request.clone();
        if let (Verb::Rollback { to }, [.., former, _]) = (&mut request.verb, manifest.timeline.as_slice()) {
            *to = to.take().or_else(|| Some(former.kid.clone()).filter(|_| manifest.operation.is_none()));
        }
        plan(manifest, &request, context)
    },
    ..KEYRING
};

/// Who cannot read the store gives a prepared key no benefit of the doubt.
pub const C14: Rules = Rules { doubt: |_, _, _, _| false, ..KEYRING };

/// The last change and the operator's clock may be no more than max_skew apart.
pub const C15: Rules = Rules {
    plan: |manifest, request, context| {
        let apart = context.now.since(manifest.changed_at());
        if apart > manifest.policy.max_skew {
            return Err(Refusal::new(Code::ClockBehind, format!("{apart} s apart"), "wait"));
        }
        plan(manifest, request, context)
    },
    ..KEYRING
};

/// A revocation reaches the lineages that began while the key signed, and none before.
pub const C16: Rules = Rules {
    verify: |manifest, token, now| match verify(manifest, token, now) {
        Err(Why::Breach(Breach::LineageRevoked)) if lineage_began_before_any_revoked(manifest, token) => {
            Ok(())
        }
        verdict => verdict,
    },
    ..KEYRING
};

fn lineage_began_before_any_revoked(manifest: &Manifest, token: &Token) -> bool {
    let revoked = manifest.keys.iter().filter(|key| key.revoked.is_some());
    let mut first = revoked.filter_map(|key| manifest.first_activation(&key.kid));
    first.all(|first| token.times.lineage_began < first)
}

/// Whatever private key a restored store has may sign.
pub const C17: Rules = Rules {
    repair: |remains, witness, now| {
        let mut witness = witness.clone();
        for key in witness.keys.iter_mut().filter(|key| remains.private.contains(&key.kid)) {
            (key.revoked, key.private) = (None, PrivateState::Present);
        }
        repair(remains, &witness, "olga", now)
    },
    ..KEYRING
};

/// The bounds take no account of staleness.
pub const NO_STALENESS: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            let staleness = next.policy.max_staleness;
            tighter(manifest, next, staleness);
        })
    },
    ..KEYRING
};

/// The bounds take no account of skew.
pub const NO_SKEW: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| tighter(manifest, next, 1))
    },
    ..KEYRING
};

/// A key verifies for as long as its successor needs to be known, not for as long as its tokens live.
pub const NO_LIFETIME: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            for key in just_superseded(manifest, next) {
                let bounds = key.superseded.as_mut().expect("it is superseded");
                bounds.accept_until = bounds.accept_until.map(|_| bounds.last_iat);
            }
        })
    },
    ..KEYRING
};

/// A window has no end.
pub const NO_END: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            for bounds in next.keys.iter_mut().filter_map(|key| key.superseded.as_mut()) {
                bounds.accept_until = bounds.accept_until.map(|until| until.plus(9));
            }
        })
    },
    ..KEYRING
};

/// Who is asked is asked: a token is judged by its key's state and no bound.
pub const NO_BOUNDS: Rules = Rules {
    verify: |manifest, token, now| match verify(manifest, token, now) {
        Err(Why::Breach(
            Breach::KeyRetired | Breach::SignedAfterSupersession | Breach::LifetimeExceedsPolicy,
        )) => Ok(()),
        verdict => verdict,
    },
    ..KEYRING
};

/// A token of an unfamiliar key is refused at once, without a read of the store.
pub const NO_REREAD: Rules = Rules {
    verify: |manifest, token, now| match verify(manifest, token, now) {
        Err(Why::UnknownKid) => Err(Why::Breach(Breach::KeyRevoked)),
        verdict => verdict,
    },
    ..KEYRING
};

/// A report counts for max_staleness only, on the operator's clock.
pub const GATE_FORGETS_EARLY: Rules = Rules {
    plan: |manifest, request, context| {
        let counts = |report: &&ReplicaReport| {
            context.now.since(report.reported_at) <= manifest.maxima(context.now).staleness
        };
        let reports: Vec<_> = context.reports.iter().filter(counts).cloned().collect();
        plan(manifest, request, &Context { reports: &reports, ..*context })
    },
    ..KEYRING
};

/// Nobody waits for the caches of outside verifiers.
pub const NO_CACHES: Rules = Rules {
    plan: |manifest, request, context| {
        let mut request = request.clone();
        if let (Verb::Rotate { mode, .. }, Some(_)) = (&mut request.verb, &manifest.operation) {
            *mode = Mode::Gated(Fleet::Reporting);
        }
        under(manifest, &request, context, |other| {
            (other.policy.verifier_cache, other.policy.activation_lead) = (0, 0);
        })
    },
    ..KEYRING
};

/// A repair numbers its generation after the store's.
pub const I5_STORE_ONLY: Rules = Rules {
    repair: |remains, witness, now| {
        let mut plan = repair(remains, witness, "olga", now)?;
        plan.next.generation = remains.manifest.generation + 1;
        Ok(plan)
    },
    ..KEYRING
};

/// Nobody asks the witness.
pub const I8_NO_WITNESS: Rules = Rules { standing: |_, _| Standing::InStep, ..KEYRING };

/// A repair takes the store's word for its keys.
pub const I8_FORGETS: Rules = Rules {
    repair: |remains, witness, now| {
        let forgetful = |plan: Plan| Plan { next: forget(plan.next, remains), ..plan };
        repair(remains, witness, "olga", now).map(forgetful)
    },
    ..KEYRING
};

fn forget(mut next: Manifest, remains: &Remains<'_>) -> Manifest {
    for key in &mut next.keys {
        if let Some(stored) = remains.manifest.key(&key.kid) {
            key.revoked.clone_from(&stored.revoked);
        }
    }
    next
}

/// A repair asks store and witness, and no replica.
pub const I8_ASKS_NO_REPLICA: Rules = Rules {
    repair: |remains, witness, now| {
        let mut silent = remains.reports.to_vec();
        for report in &mut silent {
            (report.revoked, report.lineage_floor) = (Vec::new(), None);
        }
        repair(&Remains { reports: &silent, ..*remains }, witness, "olga", now)
    },
    ..KEYRING
};

/// The JWK Set holds the keys that sign, now or soon.
pub const I9_SIGNERS_ONLY: Rules =
    Rules { published: |state| matches!(state, KeyState::Prepared | KeyState::Active), ..KEYRING };

/// What prune takes away stays in the timeline.
pub const I9_LEFT_IN_THE_TIMELINE: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, _| {
            if request.verb == Verb::Prune {
                next.timeline.clone_from(&manifest.timeline);
            }
        })
    },
    ..KEYRING
};

/// There is always room for one key more.
pub const I12_NO_LIMIT: Rules = Rules {
    plan: |manifest, request, context| under(manifest, request, context, |other| other.policy.max_keys = 8),
    ..KEYRING
};

/// Nothing descends from a key that does not sign yet on the operator's clock.
pub const DESCENDANTS_FROM_THE_ACTIVATION: Rules = Rules {
    plan: |manifest, request, context| {
        changed(manifest, request, context, |next, now| {
            if let Verb::Revoke { kid, .. } = &request.verb
                && manifest.first_activation(kid).is_none_or(|from| from > now)
            {
                next.lineage_floor = manifest.lineage_floor;
            }
        })
    },
    ..KEYRING
};
