//! TLS, certificates that change, and client certificates that bootstrap.

use std::path::PathBuf;
use std::time::Duration;

use keystile_gateway::Config;
use keystile_gateway::config::ClientCertificates;
use keystile_store::Store as _;
use keystile_token::inspect;
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::client::*;
use crate::world::*;

/// An authority for tests. It protects nothing.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: SanType, purpose: ExtendedKeyUsagePurpose, last_year: i32) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![purpose];
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    pub fn server(&self) -> (String, String) {
        let name = SanType::DnsName(Ia5String::try_from("localhost").expect("ASCII"));
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth, 2040)
    }

    pub fn client(&self, uri: &str) -> Identity {
        self.client_until(uri, 2040)
    }

    /// One that ends with the beginning of this year.
    pub fn client_until(&self, uri: &str, year: i32) -> Identity {
        let (certificate, key) = self.issue(uri_name(uri), ExtendedKeyUsagePurpose::ClientAuth, year);
        Identity::from_pem(certificate, key)
    }

    /// One that names a sandbox and is for servers.
    pub fn server_as_client(&self) -> Identity {
        let (certificate, key) = self.issue(uri_name(URI), ExtendedKeyUsagePurpose::ServerAuth, 2040);
        Identity::from_pem(certificate, key)
    }
}

fn uri_name(uri: &str) -> SanType {
    SanType::URI(Ia5String::try_from(uri).expect("ASCII"))
}

fn put(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.path(name);
    std::fs::write(&path, text).expect("the file is written");
    path
}

pub fn serving(world: &World, authority: &Authority) -> Config {
    let (certificate, key) = authority.server();
    Config {
        tls_cert: Some(put(world, "tls.crt", &certificate)),
        tls_key: Some(put(world, "tls.key", &key)),
        tls_client_ca: Some(put(world, "ca.crt", &authority.pem)),
        certificate_bootstrap: true,
        ..config()
    }
}

pub async fn connect(
    gateway: &Running,
    authority: &Authority,
    identity: Option<Identity>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority.pem)).domain_name("localhost");
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let uri = format!("https://localhost:{}", gateway.addr.port());
    Endpoint::from_shared(uri).expect("a URI").tls_config(tls).expect("a configuration").connect().await
}

const URI: &str = "spiffe://openshell/sandbox/7f3a0c52-6d0f-4b0e-9a55-2f6c1f3f0a01";

#[tokio::test]
async fn a_client_certificate_bootstraps_the_sandbox_that_it_names() {
    let world = World::begun().await;
    let authority = Authority::new();
    let gateway = world.gateway_with(serving(&world, &authority)).await.expect("it starts");
    let channel = connect(&gateway, &authority, Some(authority.client(URI))).await.expect("a handshake");
    let issued = issue(&channel, None).await.expect("a first token");
    let claims = inspect(issued.token.as_bytes()).expect("a token").claims;
    assert_eq!(claims["sandbox_id"], SANDBOX);
    assert_eq!(claims["keystile"]["method"], "client-certificate");
    assert_eq!(claims["keystile"]["began"], world.clock_now().0);
    let refreshed = refresh(&channel, Some(&issued.token)).await.expect("a second token").token;
    assert_eq!(whoami(&channel, Some(&refreshed)).await.expect("good").sandbox_id, SANDBOX);
    let status = refresh(&channel, None).await.expect_err("a certificate cannot refresh");
    let text = "this principal cannot refresh; use IssueSandboxToken for bootstrap";
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, text));
    let status = issue(&channel, Some("garbage")).await.expect_err("a bad bearer ends it");
    assert_eq!(status.code(), Code::Unauthenticated, "it is not promoted to the certificate's sandbox");
    let status = whoami(&channel, None).await.expect_err("only a token says who");
    assert_eq!(status.message(), "missing authorization header");
}

#[tokio::test]
async fn a_certificate_that_names_no_sandbox_bootstraps_none() {
    let world = World::begun().await;
    let authority = Authority::new();
    let gateway = world.gateway_with(serving(&world, &authority)).await.expect("it starts");
    let other = authority.client("spiffe://openshell/gateway/a");
    let channel = connect(&gateway, &authority, Some(other)).await.expect("a handshake");
    let status = issue(&channel, None).await.expect_err("no sandbox");
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("must be spiffe://openshell/sandbox/<id>"), "{status:?}");
    let channel = connect(&gateway, &authority, None).await.expect("a handshake");
    let status = issue(&channel, None).await.expect_err("no certificate");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "missing authorization header"));
    let stranger = Authority::new().client(URI);
    let refused = connect(&gateway, &authority, Some(stranger)).await;
    let refused = match refused {
        Err(_) => true,
        // With TLS 1.3 the client learns of it on its first request.
        Ok(channel) => issue(&channel, None).await.is_err(),
    };
    assert!(refused, "another authority's word is worth nothing");
}

#[tokio::test]
async fn a_certificate_that_has_expired_since_the_handshake_bootstraps_no_more() {
    let world = World::begun().await;
    let authority = Authority::new();
    let gateway = world.gateway_with(serving(&world, &authority)).await.expect("it starts");
    let channel = connect(&gateway, &authority, Some(authority.client(URI))).await.expect("a handshake");
    world.clock.set(keystile_keyring::UnixTime(2_208_988_801));
    let status = issue(&channel, None).await.expect_err("the connection outlived it");
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "client certificate has expired"));
}

#[tokio::test]
async fn without_the_setting_a_certificate_bootstraps_nothing() {
    let world = World::begun().await;
    let authority = Authority::new();
    let off = Config { certificate_bootstrap: false, ..serving(&world, &authority) };
    let gateway = world.gateway_with(off).await.expect("it starts");
    let channel = connect(&gateway, &authority, Some(authority.client(URI))).await.expect("a handshake");
    let status = issue(&channel, None).await.expect_err("off");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "missing authorization header"));
}

#[tokio::test]
async fn where_certificates_are_required_none_is_refused_in_the_handshake() {
    let world = World::begun().await;
    let authority = Authority::new();
    let required =
        Config { client_certificates: ClientCertificates::Required, ..serving(&world, &authority) };
    let gateway = world.gateway_with(required).await.expect("it starts");
    let served = match connect(&gateway, &authority, None).await {
        Ok(channel) => whoami(&channel, Some(&world.token().await)).await.is_ok(),
        Err(_) => false,
    };
    assert!(!served);
    let channel = connect(&gateway, &authority, Some(authority.client(URI))).await.expect("a handshake");
    whoami(&channel, Some(&world.token().await)).await.expect("served");
}

#[tokio::test]
async fn changed_certificates_are_put_in_force_and_bad_ones_are_not() {
    let world = World::begun().await;
    let old = Authority::new();
    let gateway = world.gateway_with(serving(&world, &old)).await.expect("it starts");
    let open = connect(&gateway, &old, None).await.expect("a handshake");
    put(&world, "tls.crt", "not a certificate");
    until("the bad file is seen", || async {
        (metric(gateway.admin, "keystile_tls_reload_failures_total").await >= Some(1.0)).then_some(())
    })
    .await;
    connect(&gateway, &old, None).await.expect("the certificates in force stay");
    let problems = status(gateway.admin).await.problems;
    assert!(problems.iter().any(|problem| problem.contains("certificates in force stay")), "{problems:?}");
    assert_eq!(metric(gateway.admin, "keystile_tls_stale").await, Some(1.0));
    let told = || async { world.store.replicas().await.expect("reports").remove(0).tls_stale };
    let why = until("the store is told", told).await;
    assert!(why.contains("tls.crt"), "{why}");
    let new = Authority::new();
    let (certificate, key) = new.server();
    put(&world, "tls.key", &key);
    put(&world, "tls.crt", &certificate);
    until("the new certificate", || async { connect(&gateway, &new, None).await.ok() }).await;
    assert!(connect(&gateway, &old, None).await.is_err(), "the old one is gone");
    whoami(&open, Some(&world.token().await)).await.expect("open connections go on");
    assert_eq!(metric(gateway.admin, "keystile_tls_reloads_total").await, Some(1.0));
    assert_eq!(metric(gateway.admin, "keystile_tls_stale").await, Some(0.0));
    let problems = status(gateway.admin).await.problems;
    assert!(!problems.iter().any(|problem| problem.contains("TLS")), "{problems:?}");
    until("the store is told that all is well", || async { told().await.is_none().then_some(()) }).await;
}

#[tokio::test]
async fn tls_files_that_come_back_as_they_were_are_no_problem_any_more() {
    let world = World::begun().await;
    let authority = Authority::new();
    let config = serving(&world, &authority);
    let path = config.tls_cert.clone().expect("a file");
    let gateway = world.gateway_with(config).await.expect("it starts");
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).expect("moved");
    let stale = |wanted| async move {
        (metric(gateway.admin, "keystile_tls_stale").await == Some(wanted)).then_some(())
    };
    until("that it is away is seen", || stale(1.0)).await;
    std::fs::rename(&away, &path).expect("moved back");
    until("that it is back is seen", || stale(0.0)).await;
    assert_eq!(status(gateway.admin).await.problems, Vec::<String>::new());
}

#[tokio::test]
async fn plaintext_on_a_tls_port_is_refused_and_a_handshake_has_its_time() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let log = crate::logs::Log::at(tracing_subscriber::filter::LevelFilter::WARN);
    let world = World::begun().await;
    let authority = Authority::new();
    let mut config = serving(&world, &authority);
    config.limits.handshake_timeout = Duration::from_millis(200);
    let gateway = world.gateway_with(config).await.expect("it starts");
    for bytes in [b"GET /healthz HTTP/1.1\r\n\r\n".as_slice(), b"\x16\x03\x01"] {
        let mut stream = tokio::net::TcpStream::connect(gateway.addr).await.expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    until("both are counted", || async {
        (metric(gateway.admin, "keystile_handshake_failures_total").await == Some(2.0)).then_some(())
    })
    .await;
    assert_eq!(log.lines("does not speak TLS"), 1, "{}", log.mine());
    assert_eq!(log.lines("within handshake_timeout"), 1, "{}", log.mine());
}
