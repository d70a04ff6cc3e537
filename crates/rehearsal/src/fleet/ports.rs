//! Ports that stay free while a gateway is down.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::dice::Dice;
use crate::error::RehearsalError;

/// Below the range that systems take for outgoing connections: another connection of this run must
/// not be given a port whose gateway is down.
const FIRST: u16 = 15_000;
const LAST: u16 = 31_999;
const RANGE: usize = (LAST - FIRST) as usize + 1;

/// `count` different free addresses of 127.0.0.1, begun to look for at random.
pub(super) fn free(count: usize, dice: &mut Dice) -> Result<Vec<SocketAddr>, RehearsalError> {
    free_from(dice.below(RANGE), count)
}

/// The first `count` free ones from the port that is `begin` after the first, round to it again.
fn free_from(begin: usize, count: usize) -> Result<Vec<SocketAddr>, RehearsalError> {
    let candidates = (0..RANGE).filter_map(|step| u16::try_from((begin + step) % RANGE).ok());
    let addresses = candidates.map(|offset| SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset)));
    let free: Vec<_> = addresses.filter(|address| TcpListener::bind(address).is_ok()).take(count).collect();
    if free.len() < count { Err(RehearsalError::NoPort { first: FIRST, last: LAST }) } else { Ok(free) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody's port, held while the test looks.
    fn held() -> TcpListener {
        let mut dice = Dice::new(u64::from(std::process::id()));
        let found = (0..100).find_map(|_| {
            let offset = u16::try_from(dice.below(RANGE)).expect("a port");
            TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)).ok()
        });
        found.expect("one of a hundred ports is free")
    }

    #[test]
    fn addresses_are_different_and_below_the_ports_of_outgoing_connections() {
        let addresses = free(8, &mut Dice::new(1)).expect("free ports");
        let ports: std::collections::BTreeSet<_> = addresses.iter().map(SocketAddr::port).collect();
        assert_eq!(ports.len(), 8);
        assert!(ports.iter().all(|port| (FIRST..=LAST).contains(port)), "{ports:?}");
    }

    #[test]
    fn a_port_that_somebody_holds_is_passed_over() {
        let somebody = held();
        let taken = somebody.local_addr().expect("its address");
        let begin = usize::from(taken.port() - FIRST);
        let addresses = free_from(begin, 8).expect("free ports");
        assert_eq!(addresses.len(), 8);
        assert!(!addresses.contains(&taken));
    }
}
