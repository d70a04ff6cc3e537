//! What sandboxes do: renew, bootstrap, call. The waits are those of the supervisor's own schedule.

use std::time::Duration;

use keystile_supervisor::schedule::{Backoff, ForcedGate, renewal_after};

use super::World;
use crate::calendar::Event;
use crate::moment::Moment;
use crate::replica::{Minted, Outcome, RETRY_AFTER, Sight, minted};
use crate::sandbox::{Sandbox, Source, State};
use crate::token::{Token, seconds};

/// One in so many tokens is kept when its sandbox goes on to the next, and presented near its end.
const KEEP: u32 = 16;

/// How many replicas a caller asks before it gives up.
const ASKED: u32 = 3;

/// How a renewal or bootstrap went.
enum Got {
    Token(Token, Receipt),
    /// It is worth trying again.
    Failed,
    /// Everything that there is to present was refused.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receipt {
    Renewal,
    Bootstrap,
}

impl World<'_> {
    /// A fleet at work: every sandbox holds a token, at some point of its life.
    pub(super) fn populate(&mut self) {
        let options = &self.settings.options;
        let wall = Moment(0).wall(0);
        let forever = options.policy.mints_forever();
        let life = Duration::from_secs(options.policy.token_ttl);
        self.holders = vec![options.sandboxes];
        self.sandboxes.reserve_exact(usize::try_from(options.sandboxes).unwrap_or_default());
        for index in 0..options.sandboxes {
            let renewal = renewal_after((!forever).then_some(life), &self.settings.timing, &self.dice);
            let age = self.pace.within(renewal);
            let issued = wall.minus(age.as_secs());
            let token = Token {
                issued: seconds(issued),
                expires: if forever { 0 } else { seconds(issued.plus(life.as_secs())) },
                began: seconds(issued),
                key: 0,
            };
            let due = Moment(0).plus(renewal.saturating_sub(age));
            self.sandboxes.push(Sandbox {
                forced: ForcedGate::default(),
                token,
                usable_until: if forever { Moment::NEVER } else { Moment(0).plus(life.saturating_sub(age)) },
                due,
                backoff: Backoff::default(),
                stranded: Backoff::default(),
                source: self.settings.source_of(index),
                state: State::Settled,
                by_order: false,
                file_is_new: false,
            });
            self.calendar.put(due, Event::Round(index));
            if options.call_every > 0 {
                let first = self.pace.within(Duration::from_secs(options.call_every));
                self.calendar.put(Moment(0).plus(first), Event::Call(index));
            }
        }
    }

    /// A supervisor's time has come.
    pub(super) fn round(&mut self, index: u32, now: Moment) {
        let Some(mut sandbox) = self.take(index) else { return };
        // An event that was overtaken by another.
        if sandbox.due != now {
            return;
        }
        match self.obtain(&mut sandbox, now) {
            Got::Token(token, receipt) => self.install(&mut sandbox, token, receipt, now),
            Got::Failed => {
                sandbox.state = if sandbox.state == State::Refused { State::Refused } else { State::Waiting };
                let timing = &self.settings.timing;
                let wait = sandbox.backoff.next(timing.backoff_first, timing.backoff_max, &self.dice);
                sandbox.due = now.plus(RETRY_AFTER.saturating_add(wait));
            }
            Got::Refused => {
                let timing = &self.settings.timing;
                let wait = sandbox.stranded.next(timing.backoff_max, timing.stranded_max, &self.dice);
                sandbox.due = now.plus(wait);
                if sandbox.source == Source::File {
                    self.await_new_file(&mut sandbox, now);
                }
            }
        }
        self.calendar.put(sandbox.due, Event::Round(index));
        self.put_back(index, sandbox);
    }

    fn take(&self, index: u32) -> Option<Sandbox> {
        self.sandboxes.get(usize::try_from(index).ok()?).cloned()
    }

    fn put_back(&mut self, index: u32, sandbox: Sandbox) {
        if let Some(place) = usize::try_from(index).ok().and_then(|index| self.sandboxes.get_mut(index)) {
            *place = sandbox;
        }
    }

    fn obtain(&mut self, sandbox: &mut Sandbox, now: Moment) -> Got {
        if sandbox.state != State::Refused {
            let (outcome, minted) = self.refresh(&sandbox.token, now);
            match (outcome, minted) {
                (_, Minted::Token(token)) => return Got::Token(token, Receipt::Renewal),
                (_, Minted::Unavailable) if now < sandbox.usable_until => return Got::Failed,
                (_, Minted::Unavailable) => {}
                (_, Minted::Refused) => self.lose(sandbox, now),
            }
        }
        match sandbox.source {
            Source::Certificate | Source::ServiceAccount => self.bootstrap(sandbox.source, now),
            Source::File => self.bootstrap_from_file(sandbox, now),
        }
    }

    /// A token for a token, from any replica.
    fn refresh(&mut self, token: &Token, now: Moment) -> (Outcome, Minted) {
        let number = self.any_replica();
        let outcome = self.verify_at(number, token, now);
        let minted = match outcome {
            Outcome::Accepted => self.mint_at(number, Some(token.began), now),
            Outcome::Rejected(_) => Minted::Refused,
            Outcome::Unavailable => Minted::Unavailable,
        };
        self.tally.at(now, |rates| match minted {
            Minted::Token(_) => rates.refreshed += 1,
            Minted::Unavailable => rates.put_off += 1,
            Minted::Refused => rates.refused += 1,
        });
        (outcome, minted)
    }

    /// A first token, from any replica; the API server is asked for a ServiceAccount's.
    fn bootstrap(&mut self, source: Source, now: Moment) -> Got {
        let number = self.any_replica();
        let asks = source == Source::ServiceAccount;
        let rate = self.settings.options.bootstrap_rate;
        let admitted = self.replicas.get_mut(number).is_some_and(|replica| replica.admits(now, rate));
        let possible = admitted && !(asks && self.outage.is_some());
        let minted = if possible { self.mint_at(number, None, now) } else { Minted::Unavailable };
        let Minted::Token(token) = minted else {
            self.tally.at(now, |rates| rates.put_off += 1);
            return Got::Failed;
        };
        self.tally.at(now, |rates| {
            rates.bootstrapped += 1;
            rates.reviewed += u32::from(asks);
        });
        Got::Token(token, Receipt::Bootstrap)
    }

    /// What lies in the file is exchanged, if it was written after the last refusal.
    fn bootstrap_from_file(&mut self, sandbox: &Sandbox, now: Moment) -> Got {
        if !sandbox.file_is_new {
            return Got::Refused;
        }
        // The operator mints it from the store itself.
        let newest = self.archive.manifest(self.archive.newest());
        let Minted::Token(given) = minted(newest, None, now.wall(0), &self.archive) else {
            return Got::Failed;
        };
        match self.refresh(&given, now).1 {
            Minted::Token(token) => Got::Token(token, Receipt::Bootstrap),
            Minted::Unavailable => Got::Failed,
            Minted::Refused => Got::Refused,
        }
    }

    /// The operator writes new files after a revocation, each in its time.
    fn await_new_file(&mut self, sandbox: &mut Sandbox, now: Moment) {
        let Some(ordered) = self.oracle.ordered_at(&sandbox.token) else { return };
        if !sandbox.file_is_new {
            let rewrite = Duration::from_secs(self.settings.options.rewrite);
            sandbox.file_is_new = true;
            let poll = self.settings.timing.file_poll;
            sandbox.due = ordered.plus(self.pace.within(rewrite)).max(now).plus(self.pace.within(poll));
        }
    }

    fn install(&mut self, sandbox: &mut Sandbox, token: Token, receipt: Receipt, now: Moment) {
        if now > sandbox.usable_until {
            let ordered = sandbox.by_order.then_some(sandbox.source);
            self.tally.gap(sandbox.usable_until, now, ordered);
        }
        let former = std::mem::replace(&mut sandbox.token, token);
        if receipt == Receipt::Renewal && self.pace.one_in(KEEP) {
            self.keep(former, now);
        }
        self.pass_on(former.key, token.key);
        let life = (token.expires != 0).then(|| Duration::from_secs(u64::from(token.expires - token.issued)));
        sandbox.usable_until = life.map_or(Moment::NEVER, |life| now.plus(life));
        sandbox.due = now.plus(renewal_after(life, &self.settings.timing, &self.dice));
        (sandbox.state, sandbox.by_order, sandbox.file_is_new) = (State::Settled, false, false);
        sandbox.backoff.reset();
        sandbox.stranded.reset();
        // The first call may go to a replica that has not heard of the key.
        self.present(sandbox, now);
    }

    fn pass_on(&mut self, from: u8, to: u8) {
        if from == to {
            return;
        }
        if let Some(holders) = self.holders.get_mut(usize::from(from)) {
            *holders = holders.saturating_sub(1);
        }
        if let Some(holders) = self.holders.get_mut(usize::from(to)) {
            *holders += 1;
        }
    }

    /// The token was rejected: it is of no more use.
    fn lose(&mut self, sandbox: &mut Sandbox, now: Moment) {
        sandbox.state = State::Refused;
        sandbox.by_order |= self.oracle.by_order(&sandbox.token);
        sandbox.usable_until = sandbox.usable_until.min(now);
    }

    /// A token whose sandbox has gone on is presented once more: at any time of the rest of its life, or at its end.
    fn keep(&mut self, token: Token, now: Moment) {
        let left = u64::from(token.expires).saturating_sub(now.wall(0).0);
        if token.expires == 0 || left == 0 {
            return;
        }
        let early =
            if self.pace.one_in(2) { self.pace.within(Duration::from_secs(left)) } else { Duration::ZERO };
        let at = now.plus(Duration::from_secs(left)).minus(early);
        if let Some(number) = self.put_by(token) {
            self.calendar.put(at, Event::Kept(number));
        }
    }

    /// Puts a token where one was before that has been presented, if there is such a place.
    fn put_by(&mut self, token: Token) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => u32::try_from(self.kept.len()).ok()?,
        };
        match self.kept.get_mut(usize::try_from(number).ok()?) {
            Some(place) => *place = token,
            None => self.kept.push(token),
        }
        Some(number)
    }

    /// A token that was kept is presented.
    pub(super) fn present_kept(&mut self, number: u32, now: Moment) {
        let token = usize::try_from(number).ok().and_then(|number| self.kept.get(number)).copied();
        if let Some(token) = token {
            self.free.push(number);
            self.ask(&token, now);
        }
    }

    /// A sandbox calls.
    pub(super) fn call(&mut self, index: u32, now: Moment) {
        let Some(mut sandbox) = self.take(index) else { return };
        let every = Duration::from_secs(self.settings.options.call_every);
        let next = every / 2 + self.pace.within(every);
        self.calendar.put(now.plus(next), Event::Call(index));
        if now >= sandbox.usable_until {
            return;
        }
        let due = sandbox.due;
        self.present(&mut sandbox, now);
        if sandbox.due != due {
            self.calendar.put(sandbox.due, Event::Round(index));
        }
        self.put_back(index, sandbox);
    }

    /// A call with the sandbox's token. If it is rejected, the supervisor acts at once.
    fn present(&mut self, sandbox: &mut Sandbox, now: Moment) {
        self.tally.at(now, |rates| rates.calls += 1);
        let Outcome::Rejected(_) = self.ask(&sandbox.token, now) else { return };
        sandbox.by_order |= self.oracle.by_order(&sandbox.token);
        sandbox.usable_until = sandbox.usable_until.min(now);
        // After a failure the wait is what protects the gateway: it is not cut short.
        if sandbox.state == State::Settled {
            let timing = &self.settings.timing;
            let uptime = now.elapsed();
            let ready = sandbox.forced.ready_at(timing.rejection_interval).max(uptime);
            sandbox.forced.pass(ready, timing.rejection_interval);
            let spread = self.dice.between(Duration::ZERO, timing.rejection_spread);
            sandbox.due = sandbox.due.min(Moment(0).plus(ready.saturating_add(spread)));
        }
    }

    /// Presents a token to one replica after the other, until one knows.
    fn ask(&mut self, token: &Token, now: Moment) -> Outcome {
        for _ in 0..ASKED {
            let number = self.any_replica();
            match self.verify_at(number, token, now) {
                Outcome::Unavailable => self.tally.asked_elsewhere += 1,
                outcome => {
                    self.tally.accepted += u64::from(outcome == Outcome::Accepted);
                    return outcome;
                }
            }
        }
        self.tally.unanswered += 1;
        Outcome::Unavailable
    }

    fn any_replica(&mut self) -> usize {
        let count = u32::try_from(self.replicas.len()).unwrap_or(u32::MAX);
        usize::try_from(self.routing.below(count)).unwrap_or_default()
    }

    /// The verdict of a replica, and whether it was right.
    fn verify_at(&mut self, number: usize, token: &Token, now: Moment) -> Outcome {
        let sight = sight!(self, now);
        let (Some(replica), Some(kid)) = (self.replicas.get_mut(number), self.archive.kid(token.key)) else {
            return Outcome::Unavailable;
        };
        let outcome = replica.verify(kid, token.times(), &sight);
        let wall = replica.wall(now);
        self.tally.judged += 1;
        match outcome {
            Outcome::Accepted => {
                if !self.oracle.may_accept(token, wall, replica.held, now) {
                    self.tally.wrongly_accepted += 1;
                    self.tally.mistake(|| {
                        format!("{now} gateway-{}: accepted a token of {kid} that was over", number + 1)
                    });
                }
            }
            Outcome::Rejected(why) => {
                let right = self.oracle.may_reject(token, wall);
                let told = || {
                    format!("{now} gateway-{}: rejected a good token of {kid} ({})", number + 1, why.as_str())
                };
                self.tally.rejected(why, right, told);
            }
            Outcome::Unavailable => {}
        }
        outcome
    }

    fn mint_at(&mut self, number: usize, began: Option<u32>, now: Moment) -> Minted {
        let sight = sight!(self, now);
        let minted =
            self.replicas.get_mut(number).map_or(Minted::Unavailable, |replica| replica.mint(began, &sight));
        if let (Minted::Token(_), Some(answered)) = (minted, self.answered.get_mut(number)) {
            *answered += 1;
        }
        minted
    }
}
