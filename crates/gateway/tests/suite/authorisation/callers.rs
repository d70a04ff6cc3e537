//! Who calls: with which token, over which connection.

use keystile_gateway::Config;
use keystile_gateway::config::ClientCertificates;
use keystile_keyring::plan::Verb;
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_token::PrivateKey;
use tonic::transport::Channel;

use crate::client::*;
use crate::tls::{Authority, connect, serving};
use crate::world::*;

/// Another sandbox than [`SANDBOX`].
pub const OTHER: &str = "00c0ffee-0000-4000-8000-000000000002";

/// A token, and whose good one it is.
pub struct Caller {
    pub name: &'static str,
    pub token: Option<String>,
    pub sandbox: Option<&'static str>,
    /// Why it is rejected, as the metric says it. It is nothing of ours if neither.
    pub reason: Option<&'static str>,
}

impl Caller {
    fn good(name: &'static str, token: String, sandbox: &'static str) -> Self {
        Self { name, token: Some(token), sandbox: Some(sandbox), reason: None }
    }

    fn bad(name: &'static str, token: String, reason: &'static str) -> Self {
        Self { name, token: Some(token), sandbox: None, reason: Some(reason) }
    }

    /// Whether the gateway leaves it to other authenticators.
    pub fn is_nothing_of_ours(&self) -> bool {
        self.sandbox.is_none() && self.reason.is_none()
    }
}

/// An open connection, and the sandbox that its certificate names.
pub struct Connection {
    pub name: &'static str,
    pub channel: Channel,
    pub sandbox: Option<&'static str>,
}

/// Gateways of one keyring that holds keys in every state.
pub struct Everybody {
    pub callers: Vec<Caller>,
    pub connections: Vec<Connection>,
    pub admin: Vec<Connection>,
    pub refused: Vec<(&'static str, Result<Channel, tonic::transport::Error>)>,
    gateways: Vec<Running>,
    _world: World,
}

impl Everybody {
    pub async fn meet() -> Self {
        let world = World::begun().await;
        let callers = callers(&world).await;
        let authority = Authority::new();
        let optional = serving(&world, &authority);
        let required = Config { client_certificates: ClientCertificates::Required, ..optional.clone() };
        let plain = world.gateway().await;
        let optional = world.gateway_with(optional).await.expect("it starts");
        let required = world.gateway_with(required).await.expect("it starts");
        let client = || authority.client(OTHER_URI);
        let open = async |gateway, identity| connect(gateway, &authority, identity).await;
        let connection = |name, channel: Result<Channel, _>, sandbox| Connection {
            name,
            channel: channel.expect("a connection"),
            sandbox,
        };
        let nameless = authority.client("spiffe://openshell/gateway/a");
        let connections = vec![
            connection("plaintext", Ok(channel(plain.addr).await), None),
            connection("TLS, no client certificate", open(&optional, None).await, None),
            connection(
                "TLS, a client certificate that names no sandbox",
                open(&optional, Some(nameless)).await,
                None,
            ),
            connection(
                "TLS, a client certificate of sandbox B",
                open(&optional, Some(client())).await,
                Some(OTHER),
            ),
            connection(
                "TLS, a client certificate of sandbox B where one is required",
                open(&required, Some(client())).await,
                Some(OTHER),
            ),
        ];
        let admin = vec![
            connection("plaintext", Ok(channel(plain.admin).await), None),
            connection("of a gateway with TLS", Ok(channel(optional.admin).await), None),
        ];
        let stranger = Authority::new().client(OTHER_URI);
        let expired = authority.client_until(OTHER_URI, 2020);
        let server = authority.server_as_client();
        let refused = vec![
            ("TLS, another authority's client certificate", open(&optional, Some(stranger)).await),
            ("TLS, an expired client certificate", open(&optional, Some(expired)).await),
            ("TLS, a server's certificate for a client's", open(&optional, Some(server)).await),
            ("TLS, no client certificate where one is required", open(&required, None).await),
            ("plaintext on a TLS port", plaintext(&optional).await),
        ];
        let gateways = vec![plain, optional, required];
        Self { callers, connections, admin, refused, gateways, _world: world }
    }

    /// Fails if somebody was not rejected for the reason that makes them who they are.
    pub async fn were_rejected_as_they_should(&self) {
        let gateway = self.gateways.first().expect("a gateway");
        for reason in self.callers.iter().filter_map(|caller| caller.reason) {
            let line = format!("keystile_rejections_total{{reason=\"{reason}\"}}");
            assert!(metric(gateway.admin, &line).await >= Some(1.0), "nobody was rejected for {reason}");
        }
    }

    /// Lets the gateways stop.
    pub async fn part(self) {
        drop((self.connections, self.admin, self.refused));
        for gateway in self.gateways {
            assert!(gateway.stopped().await);
        }
    }
}

const OTHER_URI: &str = "spiffe://openshell/sandbox/00c0ffee-0000-4000-8000-000000000002";

async fn plaintext(gateway: &Running) -> Result<Channel, tonic::transport::Error> {
    tonic::transport::Endpoint::from_shared(format!("http://{}", gateway.addr))?.connect().await
}

/// A keyring with a key in each state, and a token of each.
async fn callers(world: &World) -> Vec<Caller> {
    let key = async || world.private_key(&world.active().await).await;
    let retired = key().await;
    world.rotate().await;
    // Past the retired key's window.
    world.clock.advance(3 * 3600);
    let (superseded, then) = (key().await, world.clock_now().0);
    let revoked = world.rotate().await;
    let stolen = world.private_key(&revoked).await;
    world.apply(Verb::Revoke { kid: revoked, descendants: false }, Some("stolen")).await;
    world.clock.advance(1000);
    world.apply(Verb::Prepare { no_rollback: false }, None).await;
    let manifest = world.manifest().await;
    let prepared = manifest.keys.last().expect("the new key").kid.clone();
    let (active, prepared) = (key().await, world.private_key(&prepared).await);
    let now = world.clock_now().0;
    let (signer, other) = (ForgingKey::of(&active), ForgingKey::from_seed([7; 32]));
    let by =
        |key: &PrivateKey, iat, exp| Forger::sandbox(key, SANDBOX, iat, exp).signed(&ForgingKey::of(key));
    let good = || Forger::sandbox(&active, SANDBOX, now, now + 600);
    let theirs = good().header("kid", "theirs").claim("iss", "https://idp.example").signed(&other);
    let gateways = good().claim("iss", "openshell-gateway:b").claim("aud", "openshell-gateway:b");
    let extension = Forger::extension(&active, "urn:x", SANDBOX, now, now + 600).signed(&signer);
    let second = Forger::sandbox(&active, OTHER, now, now + 600).signed(&signer);
    vec![
        Caller { name: "no token", token: None, sandbox: None, reason: None },
        Caller { name: "another issuer's token", token: Some(theirs), sandbox: None, reason: None },
        Caller::bad("what is no token", "garbage".to_owned(), "malformed"),
        Caller::bad(
            "a token of no key that ever was",
            good().header("kid", "unknown").signed(&signer),
            "unknown-kid",
        ),
        Caller::bad("another gateway's token, signed with our key", gateways.signed(&signer), "wrong-issuer"),
        Caller::bad("a wrong signature", good().signed(&other), "bad-signature"),
        Caller::bad("no signature", good().unsigned(), "bad-signature"),
        Caller::bad("an expired token", by(&active, now - 900, now - 300), "expired"),
        Caller::bad("a token that is not valid yet", by(&active, now + 900, now + 1500), "issued-in-future"),
        Caller::bad("a token that lives too long", by(&active, now, now + 9000), "lifetime-exceeds-policy"),
        Caller::bad("a token of a prepared key", by(&prepared, now, now + 600), "key-not-active"),
        Caller::bad("a token of a retired key", by(&retired, now, now + 600), "retired-key"),
        Caller::bad("a token of a revoked key", by(&stolen, now, now + 600), "revoked-key"),
        Caller::bad("an extension token", extension, "extension-token"),
        Caller::good("a good token of sandbox A", by(&active, now, now + 600), SANDBOX),
        Caller::good(
            "a good token of sandbox A, of a superseded key",
            by(&superseded, then, then + 3600),
            SANDBOX,
        ),
        Caller::good("a good token of sandbox B", second, OTHER),
    ]
}
