//! Ports that stay free while a gateway is down.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::dice::Dice;
use crate::error::RehearsalError;

/// Below the range that systems take for outgoing connections: another connection of this run must
/// not be given a port whose gateway is down.
const FIRST: u16 = 15_000;
const LAST: u16 = 31_999;

/// `count` different free addresses of 127.0.0.1, begun to look for at random.
pub(super) fn free(count: usize, dice: &mut Dice) -> Result<Vec<SocketAddr>, RehearsalError> {
    let range = usize::from(LAST - FIRST) + 1;
    let begin = dice.below(range);
    let candidates = (0..range).filter_map(|step| u16::try_from((begin + step) % range).ok());
    let addresses = candidates.map(|offset| SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset)));
    let free: Vec<_> = addresses.filter(|address| TcpListener::bind(address).is_ok()).take(count).collect();
    if free.len() < count { Err(RehearsalError::NoPort { first: FIRST, last: LAST }) } else { Ok(free) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_different_and_can_be_bound() {
        let mut dice = Dice::new(u64::from(std::process::id()));
        let addresses = free(8, &mut dice).expect("free ports");
        let bound: Vec<_> =
            addresses.iter().map(|address| TcpListener::bind(address).expect("free")).collect();
        assert_eq!(bound.len(), 8);
        let others = free(8, &mut dice).expect("more of them");
        assert!(others.iter().all(|address| !addresses.contains(address)));
    }
}
