//! A gateway: one process after the other, each a real [`Gateway`] on the simulated network and store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keystile_gateway::{Config, Gateway, Listeners};
use keystile_keyring::ReplicaId;
use tokio::sync::{mpsc, oneshot};

use super::World;
use super::chance::SeededEntropy;
use super::network::{Broken, Door};
use super::store::View;
use crate::oracle::Claim;
use crate::weakness::Weakness;

/// What befalls a process.
#[derive(Debug)]
pub enum Order {
    /// It dies, and is started again after a while.
    Kill(Broken, Duration),
    /// It is stopped in order, and started again.
    Restart,
}

/// How long after a failed start the next is tried.
const AGAIN: Duration = Duration::from_secs(1);

pub struct GatewayHost {
    pub index: usize,
    pub world: Arc<World>,
    pub orders: mpsc::UnboundedReceiver<Order>,
}

impl GatewayHost {
    /// Runs processes for ever.
    pub async fn run(mut self) {
        let world = Arc::clone(&self.world);
        let (host, door) = (&world.gateways[self.index], &world.doors[self.index]);
        if world.oracle.weakness == Weakness::NeverStale {
            host.clock.never_age();
        }
        loop {
            let process = world.oracle.started(self.index);
            let view = View::new(host, &world.truth, &world.oracle, Some(process));
            let starting = self.start(process, &view);
            let started = tokio::select! {
                biased;
                order = next(&mut self.orders) => Err(order),
                started = starting => Ok(started),
            };
            let order = match started {
                Err(order) => order,
                Ok(None) => Order::Kill(Broken::Reset, AGAIN),
                Ok(Some(gateway)) => self.serve(gateway).await,
            };
            let down = match order {
                Order::Kill(callers, down) => {
                    door.slam(callers);
                    down
                }
                Order::Restart => {
                    door.slam(Broken::Reset);
                    Duration::ZERO
                }
            };
            view.vanish();
            world.oracle.ended(process);
            tokio::time::sleep(down).await;
        }
    }

    fn start(
        &self,
        process: usize,
        view: &Arc<View>,
    ) -> impl Future<Output = Option<Gateway<super::network::Port>>> + use<> {
        let (world, index) = (Arc::clone(&self.world), self.index);
        let host = Arc::clone(&world.gateways[index]);
        let address = SocketAddr::from(([10, 1, 0, u8::try_from(index).expect("few gateways")], 443));
        let listeners =
            Listeners { main: world.doors[index].open(address), admin: Door::default().open(address) };
        let entropy = Arc::new(SeededEntropy::new(host.chance.stream("gateway", process)));
        let view = Arc::clone(view);
        async move {
            let starting =
                Gateway::bind_on(listeners, config(index), view, host.clock.clone(), entropy, None).await;
            match starting {
                Ok(gateway) => {
                    let generation = gateway.generation();
                    world.oracle.note(format!("{} serves generation {generation}", host.name));
                    Some(gateway)
                }
                Err(error) => {
                    world.oracle.note(format!("{} does not start: {error}", host.name));
                    None
                }
            }
        }
    }

    /// Serves until something befalls the process.
    async fn serve(&mut self, gateway: Gateway<super::network::Port>) -> Order {
        let (stop, stopped) = oneshot::channel::<()>();
        let mut running = tokio::spawn(gateway.run(async move { drop(stopped.await) }));
        let order = tokio::select! {
            biased;
            order = next(&mut self.orders) => order,
            ended = &mut running => {
                let what = format!("gateway-{} ended by itself: {ended:?}", self.index);
                self.world.oracle.violated(Claim::EverySupervisorRecovers, what);
                return Order::Restart;
            }
        };
        self.world.oracle.note(format!("gateway-{}: {order:?}", self.index));
        match order {
            Order::Restart => {
                drop(stop);
                let _ = running.await;
            }
            Order::Kill(..) => running.abort(),
        }
        order
    }
}

async fn next(orders: &mut mpsc::UnboundedReceiver<Order>) -> Order {
    match orders.recv().await {
        Some(order) => order,
        None => std::future::pending().await,
    }
}

fn config(index: usize) -> Config {
    Config {
        replica: Some(ReplicaId::new(format!("gateway-{index}")).expect("a short name")),
        insecure_plaintext: true,
        report_interval: Duration::from_secs(4),
        shutdown_grace: Duration::from_secs(3),
        ..Config::default()
    }
}
