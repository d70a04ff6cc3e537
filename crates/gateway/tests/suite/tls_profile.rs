//! What is spoken in the handshake, and what is not.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::{Authority, serving};
use crate::world::*;

/// A gateway with TLS, and who asks it.
struct Asked {
    gateway: Running,
    roots: Arc<RootCertStore>,
    _world: World,
}

impl Asked {
    async fn new() -> Self {
        let world = World::begun().await;
        let authority = Authority::new();
        let gateway = world.gateway_with(serving(&world, &authority)).await.expect("it starts");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM"))
            .expect("an authority");
        Self { gateway, roots: Arc::new(roots), _world: world }
    }

    /// A handshake by this provider, with these versions and protocols.
    async fn meets(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(versions).expect("versions that the provider has");
        let mut config = builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.gateway.addr).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

#[tokio::test]
async fn post_quantum_key_exchange_comes_first_and_only_known_groups_are_taken() {
    let asked = Asked::new().await;
    let stream =
        asked.meets(aws_lc_rs::default_provider(), ALL_VERSIONS, &["h2"]).await.expect("a handshake");
    let connection = stream.get_ref().1;
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = connection.negotiated_key_exchange_group().expect("a group").name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    let mut taken = Vec::new();
    for group in aws_lc_rs::ALL_KX_GROUPS {
        let provider = CryptoProvider { kx_groups: vec![*group], ..aws_lc_rs::default_provider() };
        if asked.meets(provider, ALL_VERSIONS, &[]).await.is_ok() {
            taken.push(group.name());
        }
    }
    taken.sort_by_key(|group| u16::from(*group));
    let expected =
        [NamedGroup::secp256r1, NamedGroup::secp384r1, NamedGroup::X25519, NamedGroup::X25519MLKEM768];
    assert_eq!(taken, expected);
}

#[tokio::test]
async fn every_cipher_suite_that_is_taken_is_authenticated_and_forward_secret() {
    let asked = Asked::new().await;
    let mut taken = Vec::new();
    for suite in aws_lc_rs::ALL_CIPHER_SUITES {
        let provider = CryptoProvider { cipher_suites: vec![*suite], ..aws_lc_rs::default_provider() };
        if asked.meets(provider, &[suite.version()], &[]).await.is_ok() {
            taken.push(format!("{:?}", suite.suite()));
        }
    }
    taken.sort();
    // Those of the server's kind of key, which is not RSA here.
    let expected = [
        "TLS13_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
    assert_eq!(taken, expected);
}

#[tokio::test]
async fn http_2_is_preferred_and_a_protocol_that_is_not_served_is_refused() {
    let asked = Asked::new().await;
    let cases: [(&[&str], Option<Option<&str>>); 6] = [
        (&["h2"], Some(Some("h2"))),
        (&["http/1.1"], Some(Some("http/1.1"))),
        (&["http/1.1", "h2"], Some(Some("h2"))),
        (&["spdy/3", "http/1.1"], Some(Some("http/1.1"))),
        (&[], Some(None)),
        (&["spdy/3"], None),
    ];
    for (offered, expected) in cases {
        let stream = asked.meets(aws_lc_rs::default_provider(), ALL_VERSIONS, offered).await.ok();
        let chosen = stream.as_ref().map(|stream| {
            let name = stream.get_ref().1.alpn_protocol();
            name.map(|name| std::str::from_utf8(name).expect("text"))
        });
        assert_eq!(chosen, expected, "{offered:?}");
    }
}
