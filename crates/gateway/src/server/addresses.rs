//! No address takes all the connections.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::metrics::Metrics;
use keystile_replica::Quota;

/// What one holder of IPv6 addresses is commonly given: it is counted as one.
const IPV6_PREFIX: u128 = !0 << 64;

/// How many connections each address has open. Bounded: it knows an address no longer than its connections.
#[derive(Debug)]
pub(super) struct Addresses {
    /// None: no limit.
    most: Option<u32>,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
    since: Instant,
    quota: Quota,
}

impl Addresses {
    /// `most` connections for each address; 0 is no limit.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most: (most > 0).then_some(most),
            open: Arc::default(),
            since: Instant::now(),
            quota: Quota::default(),
        }
    }

    /// A place for one more connection of `address`, unless it has as many as it may.
    pub(super) fn place(&self, address: IpAddr, metrics: &Metrics) -> Option<Place> {
        let address = counted_as(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if self.most.is_some_and(|most| *count >= most) {
            drop(open);
            self.refused(address, metrics);
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place { address, open: Arc::clone(&self.open) })
    }

    fn refused(&self, address: IpAddr, metrics: &Metrics) {
        metrics.connections_refused.inc();
        match self.quota.line(self.since.elapsed()) {
            Some(left_out) => tracing::warn!(
                %address, left_out,
                "connections closed at once: the address has as many as max_connections_per_address allows; \
                 behind a proxy, set it to 0"
            ),
            None => {
                metrics.audit_suppressed.inc();
            }
        }
    }
}

/// The address that a connection from `address` is counted as.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_PREFIX).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Counts as a connection of its address until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_address_has_so_many_and_is_forgotten_with_the_last() {
        let (addresses, metrics) = (Addresses::new(2), Metrics::new().0);
        let place = |text| addresses.place(ip(text), &metrics);
        let held = [place("192.0.2.1"), place("192.0.2.1"), place("192.0.2.2")];
        assert!(held.iter().all(Option::is_some));
        assert!(place("192.0.2.1").is_none());
        assert!(place("::ffff:192.0.2.1").is_none(), "the same one, written as IPv6");
        assert_eq!(metrics.connections_refused.get(), 2);
        drop(held);
        assert!(place("192.0.2.1").is_some());
        assert!(addresses.open.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (addresses, metrics) = (Addresses::new(1), Metrics::new().0);
        let _held = addresses.place(ip("2001:db8::1"), &metrics).expect("the first");
        assert!(addresses.place(ip("2001:db8::ffff:1"), &metrics).is_none());
        assert!(addresses.place(ip("2001:db8:0:1::1"), &metrics).is_some());
    }

    #[test]
    fn zero_is_no_limit() {
        let (addresses, metrics) = (Addresses::new(0), Metrics::new().0);
        let held: Vec<_> = (0..1000).map(|_| addresses.place(ip("192.0.2.1"), &metrics)).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
