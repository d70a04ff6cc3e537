//! What happens when: a bucket for each second, so that an event costs the same however many there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::moment::Moment;

/// Something that happens to a sandbox, or to a token that was put by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The sandbox's supervisor acts.
    Round(u32),
    /// The sandbox calls a gateway.
    Call(u32),
    /// A token is presented that was kept when its sandbox went on to the next.
    Kept(u32),
}

impl Event {
    const INDEX: u32 = (1 << 30) - 1;

    fn pack(self) -> u32 {
        match self {
            Self::Round(index) => index & Self::INDEX,
            Self::Call(index) => 1 << 30 | index & Self::INDEX,
            Self::Kept(index) => 2 << 30 | index & Self::INDEX,
        }
    }

    fn unpack(packed: u32) -> Self {
        let index = packed & Self::INDEX;
        match packed >> 30 {
            0 => Self::Round(index),
            1 => Self::Call(index),
            _ => Self::Kept(index),
        }
    }
}

/// Events in the order of time; those of one millisecond in a fixed order. What lies beyond the end is dropped.
pub(crate) struct Calendar {
    end: Moment,
    /// Of each second to come, in no order.
    buckets: Vec<Vec<u64>>,
    /// The second that is open.
    open: usize,
    /// Its events, the next one last.
    today: Vec<u64>,
    /// Events that came in while their second was open.
    late: BinaryHeap<Reverse<u64>>,
}

impl Calendar {
    pub(crate) fn to(end: Moment) -> Self {
        let seconds = usize::try_from(end.second()).unwrap_or_default() + 1;
        Self { end, buckets: vec![Vec::new(); seconds], open: 0, today: Vec::new(), late: BinaryHeap::new() }
    }

    /// Notes that `event` happens `at`; one in the past happens next.
    pub(crate) fn put(&mut self, at: Moment, event: Event) {
        if at >= self.end {
            return;
        }
        let entry = u64::from(at.0) << 32 | u64::from(event.pack());
        let second = usize::try_from(at.second()).unwrap_or(usize::MAX);
        if second <= self.open {
            self.late.push(Reverse(entry));
        } else if let Some(bucket) = self.buckets.get_mut(second) {
            bucket.push(entry);
        }
    }

    /// The next event before `limit`.
    pub(crate) fn next_before(&mut self, limit: Moment) -> Option<(Moment, Event)> {
        let limit = u64::from(limit.0) << 32;
        loop {
            let late = self.late.peek().map(|Reverse(entry)| *entry);
            let is_late = match (self.today.last(), late) {
                (Some(today), Some(late)) => late < *today,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => {
                    let second = u64::try_from(self.open + 1).unwrap_or(u64::MAX) * 1000;
                    if second << 32 >= limit || self.open + 1 >= self.buckets.len() {
                        return None;
                    }
                    self.turn();
                    continue;
                }
            };
            let next = if is_late { late? } else { *self.today.last()? };
            if next >= limit {
                return None;
            }
            if is_late {
                self.late.pop();
            } else {
                self.today.pop();
            }
            let at = Moment(u32::try_from(next >> 32).unwrap_or(u32::MAX));
            #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
            return Some((at, Event::unpack(next as u32)));
        }
    }

    /// Opens the next second.
    fn turn(&mut self) {
        self.open += 1;
        if let Some(bucket) = self.buckets.get_mut(self.open) {
            self.today = std::mem::take(bucket);
            self.today.sort_unstable_by_key(|entry| Reverse(*entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_also_those_that_come_in_late() {
        let mut calendar = Calendar::to(Moment(10_000));
        calendar.put(Moment(5_500), Event::Call(7));
        calendar.put(Moment(5_200), Event::Round(9));
        calendar.put(Moment(100), Event::Kept(1));
        calendar.put(Moment(10_000), Event::Round(1));
        assert_eq!(calendar.next_before(Moment(5_000)), Some((Moment(100), Event::Kept(1))));
        assert_eq!(calendar.next_before(Moment(5_000)), None);
        assert_eq!(calendar.next_before(Moment(6_000)), Some((Moment(5_200), Event::Round(9))));
        calendar.put(Moment(5_300), Event::Round(3));
        calendar.put(Moment(5_100), Event::Call(2));
        let mut rest = Vec::new();
        while let Some((at, event)) = calendar.next_before(Moment(10_000)) {
            rest.push((at.0, event));
        }
        assert_eq!(
            rest,
            [(5_100, Event::Call(2)), (5_300, Event::Round(3)), (5_500, Event::Call(7))],
            "what lies at the end or beyond it is dropped"
        );
    }

    #[test]
    fn indices_survive_packing() {
        for event in [Event::Round(0), Event::Call(1_000_000), Event::Kept(Event::INDEX)] {
            assert_eq!(Event::unpack(event.pack()), event);
        }
    }
}
