//! Things that several tests need. Test only; the keys protect nothing.

use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::manifest::{
    Activation, Alg, Change, Key, Lifetime, Manifest, Origin, PrivateState, Revoked, SCHEMA, Superseded,
};
use keystile_keyring::{GatewayId, Kid, Policy, PublicKey, UnixTime};

use crate::event::{Call, Outcome, TokenFacts, Via};
use crate::moment::{Moment, Stamp};
use crate::replica::ReplicaName;
use crate::scale::scaled_policy;
use crate::settings::Settings;

/// The wall clock when the run of a test begins.
pub(crate) const EPOCH: u64 = 1_000_000;

pub(crate) fn kid(name: &str) -> Kid {
    Kid::new(name).expect("a plain name")
}

pub(crate) fn policy() -> Policy {
    scaled_policy(&Policy::default(), None)
}

/// A keyring whose keys signed one after the other, five seconds each from the epoch on; the last one signs.
pub(crate) fn manifest(generation: u64, names: &[&str], revoked: Option<&str>) -> Manifest {
    let from = |index: usize| UnixTime(EPOCH + 5 * index as u64);
    let keys = names.iter().enumerate().map(|(index, name)| {
        let at = from(index + 1);
        let superseded = Superseded {
            at,
            last_iat: at.plus(6),
            accept_until: Some(at.plus(13)),
            custody_until: at.plus(100),
        };
        Key {
            kid: kid(name),
            alg: Alg::EdDsa,
            public_key: PublicKey([u8::try_from(index).expect("few keys"); 32]),
            created_at: from(index).minus(2),
            origin: Origin::Generated,
            longest_token: Lifetime::Bounded(6),
            never_expires: false,
            superseded: (index + 1 < names.len()).then_some(superseded),
            revoked: (revoked == Some(*name)).then(|| Revoked { at, reason: "a test".into() }),
            private: PrivateState::Present,
        }
    });
    let timeline = names.iter().enumerate();
    Manifest {
        schema: SCHEMA.into(),
        gateway_id: GatewayId::new("test").expect("a plain name"),
        generation,
        previous: None,
        policy: policy(),
        policy_before: None,
        lineage_floor: None,
        keys: keys.collect(),
        timeline: timeline.map(|(index, name)| Activation { from: from(index), kid: kid(name) }).collect(),
        tombstones: Vec::new(),
        operation: None,
        requests: Vec::new(),
        history: vec![Change {
            generation,
            at: from(0),
            verb: "test".into(),
            actor: "test".into(),
            reason: None,
            request_id: None,
        }],
    }
}

pub(crate) fn moment(seconds: f64) -> Moment {
    Moment::at_seconds(seconds)
}

pub(crate) fn stamp(seconds: f64) -> Stamp {
    let moment = moment(seconds);
    Stamp { moment, wall: UnixTime(EPOCH + moment.0.as_secs()) }
}

pub(crate) fn facts(name: &str) -> Arc<TokenFacts> {
    Arc::new(TokenFacts { kid: kid(name), expires: Some(UnixTime(EPOCH + 1000)), began: UnixTime(EPOCH) })
}

/// A call that took 4 ms.
pub(crate) fn call(supervisor: usize, name: &str, sent: f64, outcome: Outcome) -> Call {
    let sent = stamp(sent);
    let answered = Stamp { moment: Moment(sent.moment.0 + Duration::from_millis(4)), ..sent };
    Call {
        supervisor,
        replica: ReplicaName::of_index(0),
        via: Via::Verify,
        sent,
        answered,
        token: facts(name),
        outcome,
    }
}

pub(crate) fn accepted() -> Outcome {
    Outcome::Accepted { generation: None }
}

pub(crate) fn rejected() -> Outcome {
    Outcome::Rejected("signing key not accepted".into())
}

/// Two gateways, five supervisors, one rotation.
pub(crate) fn settings() -> Settings {
    Settings {
        gateways: 2,
        supervisors: 5,
        policy: policy(),
        own: Policy::default(),
        skew: 0,
        seed: 1729,
        script: crate::script::parse("at 4s rotate\nat 9s revoke active\nat 15s end").expect("a script"),
        ends_at: Duration::from_secs(15),
        soak: false,
    }
}
