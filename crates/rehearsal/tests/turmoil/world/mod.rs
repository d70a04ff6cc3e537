//! A small world in virtual time: machines with their clocks, the network between them, one store.

mod caller;
pub mod chance;
pub mod gateway;
pub mod host;
pub mod network;
pub mod operator;
pub mod store;
pub mod supervisor;
pub mod time;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use keystile_keyring::{GatewayId, Policy};
use keystile_operator::{First, Operator, Silent};
use keystile_supervisor::Supervisor;
use tokio::sync::mpsc;

pub use caller::Caller;
use chance::{Chance, SeededEntropy};
use gateway::{GatewayHost, Order};
use host::Host;
use network::{Door, Link};
use operator::{OperatorHost, Provisioner, TokenFile};
use store::{Truth, View};
use time::{HostClock, Time};

use crate::faults::{Class, Size, within_skew};
use crate::oracle::{Facts, Oracle};
use crate::weakness::Weakness;

pub struct World {
    pub time: Time,
    pub truth: Arc<Truth>,
    pub oracle: Arc<Oracle>,
    pub gateways: Vec<Arc<Host>>,
    pub supervisors: Vec<Arc<Host>>,
    pub operators: Vec<Arc<Host>>,
    pub doors: Vec<Door>,
    /// By caller, then by gateway. The last caller is the adversary.
    pub links: Vec<Vec<Arc<Link>>>,
    pub files: Vec<TokenFile>,
    /// Every token that a gateway or an operator is known to have minted, in the order in which they were seen.
    minted: Mutex<Minted>,
}

#[derive(Default)]
struct Minted {
    known: BTreeMap<String, Arc<Facts>>,
    order: Vec<String>,
}

/// What can be told to the processes of a world that runs.
pub struct Running {
    pub orders: Vec<mpsc::UnboundedSender<Order>>,
    pub supervisors: Vec<Supervisor>,
}

impl World {
    /// A world in which nothing runs yet.
    pub fn new(chance: &Chance, size: Size, class: Class, weakness: Weakness, files: &Path) -> Arc<Self> {
        let time = Time::begin();
        let truth = Arc::new(Truth::new(time));
        let oracle = Oracle::new(time, class, weakness, Arc::clone(&truth));
        let hosts = |kind: &str, count: usize| -> Vec<Arc<Host>> {
            let host = |number| {
                let mut chance = chance.stream(kind, number);
                let clock = HostClock::new(time, within_skew(&mut chance));
                Host::new(format!("{kind}-{number}"), chance, clock)
            };
            (0..count).map(host).collect()
        };
        let link = |caller: usize, gateway: usize| {
            Arc::new(Link::new(time, &chance.stream("link", caller * 16 + gateway)))
        };
        let links = |caller: usize| (0..size.gateways).map(|gateway| link(caller, gateway)).collect();
        let file = |number| TokenFile::new(files.join(format!("sandbox-{number}.jwt")));
        Arc::new(Self {
            time,
            gateways: hosts("gateway", size.gateways),
            supervisors: hosts("supervisor", size.supervisors),
            operators: hosts("operator", size.operators),
            doors: (0..size.gateways).map(|_| Door::default()).collect(),
            links: (0..=size.supervisors).map(links).collect(),
            files: (0..size.supervisors).map(file).collect(),
            minted: Mutex::default(),
            truth,
            oracle,
        })
    }

    /// Makes the keyring, mints the first token files, and starts everything.
    pub async fn start(
        self: &Arc<Self>,
        chance: &Chance,
        policy: Policy,
        end: std::time::Duration,
    ) -> Running {
        let clock = HostClock::new(self.time, 0);
        let provisioning = Host::new("provisioner".to_owned(), chance.stream("provisioner", 0), clock);
        let view = View::new(&provisioning, &self.truth, &self.oracle, None);
        let entropy = Arc::new(SeededEntropy::new(chance.stream("first key", 0)));
        let first = First {
            gateway_id: GatewayId::new("openshell").expect("a name"),
            policy,
            actor: "turmoil".to_owned(),
            adopt: None,
        };
        let operator = Operator::new(view, provisioning.clock.clone(), entropy);
        operator.begin(&first, &mut Silent).await.expect("an empty place takes a keyring");
        let provisioner = Provisioner::new(self, &provisioning);
        for (number, file) in self.files.iter().enumerate() {
            let token = provisioner.mint(number).await.expect("the first key signs");
            self.genuine(&token);
            file.put(&token);
        }
        let mut orders = Vec::new();
        for index in 0..self.gateways.len() {
            let (sender, receiver) = mpsc::unbounded_channel();
            orders.push(sender);
            tokio::spawn(GatewayHost { index, world: Arc::clone(self), orders: receiver }.run());
        }
        let start = |number: usize| supervisor::start(self, number, self.files[number].path.clone());
        let supervisors: Vec<_> = (0..self.supervisors.len()).map(start).collect();
        for number in 0..self.operators.len() {
            tokio::spawn(OperatorHost::new(self, number).run(end));
        }
        tokio::spawn(provisioner.run(Arc::clone(self), supervisors.clone()));
        Running { orders, supervisors }
    }

    /// Where a caller calls from.
    pub fn address(caller: usize) -> SocketAddr {
        SocketAddr::from(([10, 2, 0, u8::try_from(caller).expect("few callers")], 40_000))
    }

    /// Remembers a token that was minted in order; what it says.
    pub fn genuine(&self, token: &str) -> Option<Arc<Facts>> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = minted.known.get(token) {
            return Some(Arc::clone(known));
        }
        let facts = Arc::new(Facts::of(token)?);
        minted.known.insert(token.to_owned(), Arc::clone(&facts));
        minted.order.push(token.to_owned());
        Some(facts)
    }

    /// One of the tokens that were minted, at random.
    pub fn any_minted(&self, chance: &mut Chance) -> Option<String> {
        let minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        minted.order.get(chance.index(minted.order.len())).cloned()
    }
}
