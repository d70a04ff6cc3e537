//! The API server away: a relay between the store and the server is cut.

use std::sync::Arc;

use keystile_kubernetes::{Access, Api};
use keystile_store::conformance::{Place, Sample};
use keystile_store::{CommitError, LoadError, Store};
use keystile_store_kube::{KubeStore, Options};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::common::KubePlace;

/// Carries connections to the API server, as long as it is open.
struct Relay {
    open: watch::Sender<bool>,
    kubeconfig: tempfile::NamedTempFile,
}

impl Relay {
    async fn start(place: &KubePlace) -> Self {
        let text = std::fs::read_to_string(&place.kubeconfig).unwrap();
        let server = text.split("https://").nth(1).unwrap();
        let server: String =
            server.chars().take_while(|char| char.is_ascii_digit() || ".:".contains(*char)).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), text.replace(&server, &here)).unwrap();
        let (open, mut opened) = watch::channel(true);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                if !*opened.borrow_and_update() {
                    continue;
                }
                let (mut opened, server) = (opened.clone(), server.clone());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = opened.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { open, kubeconfig }
    }

    fn store(&self, place: &KubePlace) -> KubeStore {
        let clock = Arc::new(place.clock.clone());
        let access = Access::Kubeconfig(vec![self.kubeconfig.path().to_owned()]);
        let api = Arc::new(Api::new(access, clock.clone()));
        KubeStore::new(api, place.name.clone(), clock, Options::default())
    }
}

/// T37: nothing can be read or written, and that is said; what changes meanwhile is noticed afterwards.
#[tokio::test]
async fn t37_a_change_during_an_outage_is_noticed_when_it_is_over() {
    let Some(place) = KubePlace::new() else { return };
    let direct = place.open();
    let mut sample = Sample::new();
    sample.create(&*direct).await;
    let relay = Relay::start(&place).await;
    let store = relay.store(&place);
    assert_eq!(store.load().await.unwrap().base(), sample.base());
    let mut ticks = store.watch();
    // The first look at each of the two Secrets.
    while *ticks.borrow_and_update() < 2 {
        ticks.changed().await.unwrap();
    }
    relay.open.send(false).unwrap();
    assert!(matches!(store.load().await, Err(LoadError::Unreadable(_))));
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Io(_)), "nothing was sent, so nothing was changed: {error}");
    direct.compare_and_swap(sample.on(base)).await.unwrap();
    relay.open.send(true).unwrap();
    ticks.changed().await.unwrap();
    assert_eq!(store.load().await.unwrap().base(), sample.base());
}
