//! Bootstrap by client certificate, over real TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{Answer, Gateway, Method, TestClock, config, reach, start};
use keystile_supervisor::{
    Config, Endpoint, FailureKind, Identity, Origin, Source, State, Supervisor, Timing, Tls,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity as ServerIdentity, ServerTlsConfig};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key in PEM, and the certificate in DER.
struct Leaf {
    pem: String,
    key: String,
    der: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: SanType) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = vec![name];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    fn sandbox(&self) -> Leaf {
        self.issue(SanType::URI("spiffe://openshell/sandbox/s-1".try_into().unwrap()))
    }
}

/// What lies on a sandbox's disk.
struct Disk(TempDir);

impl Disk {
    fn new(authority: &Authority, leaf: &Leaf) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        std::fs::write(disk.path("ca.crt"), &authority.pem).unwrap();
        disk.put(leaf);
        disk
    }

    fn put(&self, leaf: &Leaf) {
        std::fs::write(self.path("tls.crt"), &leaf.pem).unwrap();
        std::fs::write(self.path("tls.key"), &leaf.key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, host: &str, port: u16) -> Config {
        let url = format!("https://{host}:{port}");
        let mut config = config(vec![Endpoint::url(&url).unwrap()], vec![Source::ClientCertificate]);
        let identity = Identity { certificate: self.path("tls.crt"), key: self.path("tls.key") };
        config.tls = Some(Tls { ca: self.path("ca.crt"), identity: Some(identity), server_name: None });
        config.timing = Timing { attempt_timeout: Duration::from_secs(5), ..Timing::default().scaled(0.01) };
        config
    }
}

async fn serve(gateway: &Gateway, authority: &Authority, name: SanType) -> u16 {
    let leaf = authority.issue(name);
    let tls = ServerTlsConfig::new()
        .identity(ServerIdentity::from_pem(leaf.pem, leaf.key))
        .client_ca_root(Certificate::from_pem(&authority.pem));
    gateway.listen_tls(tls).await
}

fn loopback() -> SanType {
    SanType::IpAddress([127, 0, 0, 1].into())
}

async fn fresh_by(supervisor: &Supervisor, origin: Origin) {
    reach(supervisor, |state| matches!(state, State::Fresh(lease) if lease.origin == origin)).await;
}

async fn obtaining_fails(supervisor: &Supervisor) -> keystile_supervisor::Failure {
    match reach(supervisor, |state| matches!(state, State::Obtaining { failure: Some(_) })).await {
        State::Obtaining { failure: Some(failure) } => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_certificate_bootstraps_and_a_new_one_is_used_without_a_restart() {
    let clock = TestClock::new();
    let authority = Authority::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let port = serve(&gateway, &authority, loopback()).await;
    let first = authority.sandbox();
    let disk = Disk::new(&authority, &first);
    let supervisor = start(disk.config("127.0.0.1", port), clock);
    fresh_by(&supervisor, Origin::Issued).await;
    let call = gateway.calls()[0].clone();
    assert_eq!((call.method, call.bearer), (Method::Issue, None));
    assert!(call.certificate == Some(first.der));

    let second = authority.sandbox();
    disk.put(&second);
    supervisor.rejected(&supervisor.token().unwrap());
    let calls = gateway.after_calls(2).await;
    assert!(calls[1].certificate == Some(second.der));
}

#[tokio::test]
async fn a_gateway_that_another_authority_certifies_gets_nothing() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let port = serve(&gateway, &Authority::new(), loopback()).await;
    let authority = Authority::new();
    let disk = Disk::new(&authority, &authority.sandbox());
    let supervisor = start(disk.config("127.0.0.1", port), clock);
    let failure = obtaining_fails(&supervisor).await;
    assert_eq!(failure.kind, FailureKind::Transport);
    let told = "its certificate is of another authority than the one given: --tls-ca";
    assert!(failure.message.ends_with(told), "{failure}");
    assert!(gateway.calls().is_empty());
}

#[tokio::test]
async fn a_name_in_the_certificate_may_be_given() {
    let clock = TestClock::new();
    let authority = Authority::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let name = SanType::DnsName("gateway.test".try_into().unwrap());
    let port = serve(&gateway, &authority, name).await;
    let disk = Disk::new(&authority, &authority.sandbox());
    let failure = obtaining_fails(&start(disk.config("127.0.0.1", port), clock)).await;
    assert_eq!(failure.kind, FailureKind::Transport);
    assert!(failure.message.ends_with("--tls-server-name"), "{failure}");

    let mut config = disk.config("127.0.0.1", port);
    config.tls.as_mut().unwrap().server_name = Some("gateway.test".into());
    fresh_by(&start(config, clock), Origin::Issued).await;
}

#[tokio::test]
async fn a_gateway_that_does_not_speak_tls_or_is_not_there_is_told_apart() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let authority = Authority::new();
    let disk = Disk::new(&authority, &authority.sandbox());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let failure = obtaining_fails(&start(disk.config("127.0.0.1", port), TestClock::new())).await;
    assert!(failure.message.ends_with("http:// instead of https://?"), "{failure}");
    plain.abort();
    let _ = plain.await;
    let failure = obtaining_fails(&start(disk.config("127.0.0.1", port), TestClock::new())).await;
    assert!(failure.message.ends_with("no gateway listens there"), "{failure}");
}

/// In TLS 1.3 a client has shaken hands before its certificate is refused: it may see the alert, or the end only.
#[tokio::test]
async fn a_client_certificate_that_is_refused_is_told_as_such() {
    let authority = Authority::new();
    let gateway = Gateway::new(TestClock::new(), |_| Answer::Token("k", 3600));
    let port = serve(&gateway, &authority, loopback()).await;
    let disk = Disk::new(&authority, &Authority::new().sandbox());
    let failure = obtaining_fails(&start(disk.config("127.0.0.1", port), TestClock::new())).await;
    let expected = [
        "it does not know the authority of the client certificate: --tls-cert, --tls-key",
        "the other end closed the connection; a gateway's log says why",
    ];
    assert!(expected.iter().any(|told| failure.message.ends_with(told)), "{failure}");
    assert!(gateway.calls().is_empty());
}

#[tokio::test]
async fn tls_files_that_are_not_there_yet_are_awaited() {
    let clock = TestClock::new();
    let authority = Authority::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let port = serve(&gateway, &authority, loopback()).await;
    let leaf = authority.sandbox();
    let disk = Disk::new(&authority, &leaf);
    std::fs::remove_file(disk.path("tls.key")).unwrap();
    let supervisor = start(disk.config("127.0.0.1", port), clock);
    let failure = obtaining_fails(&supervisor).await;
    assert!(failure.message.contains("tls.key"), "{failure}");
    disk.put(&leaf);
    fresh_by(&supervisor, Origin::Issued).await;
}
