//! `keystile.v1.Keystile`: what the gateway makes of the token that the caller presents.

use std::sync::Arc;

use keystile_keyring::UnixTime;
use keystile_proto::keystile::v1::keystile_server::Keystile;
use keystile_proto::keystile::v1::{WhoAmIRequest, WhoAmIResponse};
use tonic::{Request, Response, Status};

use super::{peer, status};
use crate::gatekeeper::{Caller, Gatekeeper};

pub(super) struct Service {
    pub(super) gatekeeper: Arc<Gatekeeper>,
}

#[tonic::async_trait]
impl Keystile for Service {
    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let peer = peer(&request)?;
        let caller = self.gatekeeper.caller(request.metadata().as_ref(), &peer).await;
        let caller = caller.map_err(|refused| status(&refused.answer()))?;
        let claims = &caller.accepted.claims;
        Ok(Response::new(WhoAmIResponse {
            sandbox_id: claims.sandbox_id.as_str().to_owned(),
            kid: caller.accepted.kid.to_string(),
            key_state: caller.accepted.state.as_str().to_owned(),
            expires_at: claims.expires_at.map_or(0, seconds),
            renew_by: renew_by(&caller).map_or(0, seconds),
            generation: caller.held.generation(),
        }))
    }
}

/// Four fifths of the way to the earlier of the token's end and its key's; none if neither has one.
fn renew_by(caller: &Caller) -> Option<UnixTime> {
    let claims = &caller.accepted.claims;
    let key = caller.held.keyring.manifest().key(&caller.accepted.kid);
    let window = key.and_then(|key| key.superseded).and_then(|superseded| superseded.accept_until);
    let end = claims.expires_at.into_iter().chain(window).min()?;
    Some(end.minus(end.since(claims.issued_at) / 5))
}

fn seconds(instant: UnixTime) -> i64 {
    i64::try_from(instant.0).unwrap_or(i64::MAX)
}
