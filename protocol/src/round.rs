//! One node in one round: its attempts and slots, and in each of them its member and its aggregator.
//!
//! ```text
//! slot 0 ── no roster ──► slot 1 ── roster ──► session ── time-outs ──► slot 2 of the session ──► result
//!                                                 │ abandonment
//!                                                 └──► next attempt, in the slot that abandoned it
//! ```
//!
//! Until there is a roster, a slot whose aggregator is lost simply gives way to the next one. Once there is,
//! the session goes on from slot to slot ([`crate::member`]), and a fresh attempt needs the abandonment
//! certificate. Only the aggregator of the slot that a node looks to is listened to.

mod attempts;
mod offers;
mod succession;
mod turns;
mod waiting;
mod witness;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use rand_core::CryptoRng;

use crate::{
    aggregator::Aggregator,
    contract::{Task, Terms},
    election,
    guard::Guard,
    hash::Digest,
    ids::{MemberId, SessionId},
    io::{Input, JournalEntry, Now, Output, Role, Work},
    manifest::Manifest,
    member::Member,
    messages::{Abort, Message, failover::Abandonment, publish::Published},
    mutation::{Check, checked},
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::{SeenKeys, Session},
    seat,
    signing::{Identity, Signed},
};

use succession::Aside;
use witness::Witness;

/// Attempts at one round.
pub const MAX_ATTEMPTS: u32 = 8;

/// Who plays, and for what.
pub struct RoundSetup {
    /// Who this node is.
    pub identity: Arc<Identity>,
    /// The consortium.
    pub manifest: Arc<Manifest>,
    /// The round's number.
    pub number: u64,
    /// What this node's input is for.
    pub task: Task,
    /// Keys of earlier sessions.
    pub seen: Arc<SeenKeys>,
    /// Survivor sets of earlier sums of the task's label.
    pub guard: Arc<Guard>,
    /// Whether this node aggregates when it is its turn. If not, it passes the turn on.
    pub aggregates: bool,
    /// Members that are not connected, and since when.
    pub away: BTreeMap<MemberId, Now>,
    /// Members that evidence has convicted. They are not listened to, and count as not connected.
    pub excluded: BTreeSet<MemberId>,
}

/// A node in a round, from the first slot until there is a result or none can come.
pub struct Round {
    setup: RoundSetup,
    me: MemberId,
    order: Vec<MemberId>,
    started: Now,
    attempt: u32,
    slot: u32,
    /// Since when the slot's aggregator could have proposed.
    since: Now,
    /// Members that are connected, but have nothing for this round: they propose none.
    left: BTreeSet<MemberId>,
    /// Since when there are too few for any roster.
    alone: Option<Now>,
    /// Contracts that were found in order, by attempt and slot.
    offers: BTreeSet<(u32, u32)>,
    /// What was advertised in this attempt: the terms, and the digest of the advertisement.
    advertised: BTreeMap<Digest, (Arc<Terms>, Digest)>,
    abandoned: BTreeMap<u32, Abandonment>,
    member: Option<Member>,
    aggregator: Option<Aggregator>,
    /// The attempt and slot in which I have last acted as aggregator; I never open one twice.
    acted: Option<(u32, u32)>,
    /// Attempts and slots whose holders have passed their turn.
    passed: BTreeSet<(u32, u32)>,
    /// What I have said to pass turns of mine.
    passes: Vec<Signed<Abort>>,
    /// Slots of mine that may begin where others are given up.
    successors: BTreeMap<u32, Aggregator>,
    /// A session to follow once the slot is over for which my keys are out.
    aside: Option<Aside>,
    published: Option<Published>,
    witness: Witness,
    /// Members that have been shown my roster because they spoke of another session.
    shown_roster: BTreeSet<MemberId>,
    over: bool,
}

/// What the two machines of a node want done, in order.
pub type Deeds = Vec<(Role, Output)>;

impl Round {
    /// Begins with the first slot of the first attempt.
    pub fn begin(mut setup: RoundSetup, now: Now, rng: &mut impl CryptoRng) -> (Self, Deeds) {
        for excluded in &setup.excluded {
            setup.away.entry(*excluded).or_insert(now);
        }
        let me = setup.identity.id();
        let witness = Witness::new(setup.manifest.clone());
        let order = election::order(&setup.manifest, setup.number);
        let mut round = Self {
            setup,
            me,
            order,
            started: now,
            attempt: 0,
            slot: 0,
            since: now,
            left: BTreeSet::new(),
            alone: None,
            offers: BTreeSet::new(),
            advertised: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            member: None,
            aggregator: None,
            acted: None,
            passed: BTreeSet::new(),
            passes: Vec::new(),
            successors: BTreeMap::new(),
            aside: None,
            published: None,
            witness,
            shown_roster: BTreeSet::new(),
            over: false,
        };
        let mut deeds = Deeds::new();
        round.enter(0, 0, now, rng, &mut deeds);
        (round, deeds)
    }

    /// The round's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.setup.number
    }

    /// The task of the waiting input.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.setup.task
    }

    /// The member of the current attempt; `None` while none is under way.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        self.member.as_ref()
    }

    /// The phase in which one of the machines is; `None` while it has nothing to do.
    #[must_use]
    pub fn phase(&self, role: Role) -> Option<Phase> {
        match role {
            Role::Member => self.member.as_ref()?.phase(),
            Role::Aggregator => self.aggregator.as_ref()?.phase(),
        }
    }

    /// Whose slot it is.
    #[must_use]
    pub fn aggregator(&self) -> Option<MemberId> {
        self.holder(self.current_slot())
    }

    /// The attempt and the slot that this node is in.
    #[must_use]
    pub fn place(&self) -> (u32, u32) {
        (self.attempt, self.current_slot())
    }

    /// The attempt and the slot that one of the machines is in.
    #[must_use]
    pub fn place_of(&self, role: Role) -> (u32, u32) {
        let acting = self.aggregator.as_ref().filter(|_| role == Role::Aggregator).map(Aggregator::slot);
        (self.attempt, acting.unwrap_or_else(|| self.current_slot()))
    }

    /// Whether this node has accepted a roster in the current attempt: then it may be bound by what it said.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.session().is_some())
    }

    /// What this node's member knows and tells nobody, while it waits for the roster: whoever has corrupted
    /// the node knows as much.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn spied(&self) -> Option<crate::sim::Spied> {
        self.member.as_ref()?.spied()
    }

    /// Roots of the vectors that this node, as an aggregator that took over, has to have: they may come from
    /// whoever holds them.
    #[must_use]
    pub fn required_roots(&self) -> BTreeMap<MemberId, Digest> {
        let members = self.setup.manifest.members().iter().map(|member| member.id);
        let root = |id| Some((id, self.aggregator.as_ref()?.required_root(&id)?));
        members.filter_map(root).collect()
    }

    /// Keys of all sessions so far.
    #[must_use]
    pub fn seen(&self) -> &Arc<SeenKeys> {
        &self.setup.seen
    }

    /// Whether neither machine has anything left to do. It still answers those who have missed the result.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over && self.aggregator.as_ref().is_none_or(Aggregator::is_over)
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, rng: &mut impl CryptoRng) -> Deeds {
        let mut deeds = Deeds::new();
        match input {
            Input::Message(from, _) | Input::Connected(from) if self.setup.excluded.contains(&from) => {}
            Input::Message(from, message) => self.witnessed(from, *message, now, rng, &mut deeds),
            Input::Lost(peer) => {
                self.setup.away.insert(peer, now);
                self.both(&|| Input::Lost(peer), now, rng, &mut deeds);
                self.join_offered(now, rng, &mut deeds);
            }
            Input::Connected(peer) => {
                self.setup.away.remove(&peer);
                self.left.remove(&peer);
                self.bring_up_to_date(peer, &mut deeds);
                self.repeat_passes(peer, &mut deeds);
                self.both(&|| Input::Connected(peer), now, rng, &mut deeds);
            }
            Input::Left(peer) => {
                self.left.insert(peer);
                self.both(&|| Input::Left(peer), now, rng, &mut deeds);
            }
            Input::Tick => {
                self.both(&|| Input::Tick, now, rng, &mut deeds);
                self.tick(now, rng, &mut deeds);
            }
            Input::Done(work) => {
                let role = match work {
                    Work::Received(..) | Work::PassedOn(..) | Work::Summed(_) => Role::Aggregator,
                    Work::Uploaded(..)
                    | Work::Held(..)
                    | Work::Stored(_)
                    | Work::Unreadable(..)
                    | Work::Audited(_)
                    | Work::Disproved(..)
                    | Work::Failed(_) => Role::Member,
                };
                self.feed(role, Input::Done(work), now, rng, &mut deeds);
            }
        }
        deeds
    }

    /// Work of one machine could not be done.
    pub fn failed(&mut self, role: Role, detail: String, now: Now, rng: &mut impl CryptoRng) -> Deeds {
        let mut deeds = Deeds::new();
        self.feed(role, Input::Done(Work::Failed(detail)), now, rng, &mut deeds);
        deeds
    }

    /// Lets the machines act on a message, and proves what is wrong with it.
    fn witnessed(
        &mut self,
        from: MemberId,
        message: Message,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        let session = self.session();
        let known = self.known_terms();
        let terms = |contract: &Digest| known.get(contract).cloned();
        let mut proven = self.witness.watch(&message, session, &terms);
        let suspect = matches!(
            message,
            Message::Roster(_) | Message::MaskSet(_) | Message::Proposal(_) | Message::Reveal(_)
        );
        let copy = suspect.then(|| message.clone());
        let before = deeds.len();
        self.message(from, message, now, rng, deeds);
        let faults = deeds.iter().skip(before).filter_map(|(_, output)| match output {
            Output::Fault(fault) => Some(fault),
            _ => None,
        });
        for fault in faults {
            proven.extend(self.witness.wrong_share(fault));
            if let Some(message) = copy.as_ref().filter(|_| fault.who == from) {
                proven.extend(self.witness.refused(message, &terms));
            }
        }
        let evidence = proven.into_iter().map(|it| (Role::Member, Output::Evidence(Box::new(it))));
        deeds.extend(evidence);
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.member.as_ref().and_then(Member::session).cloned()
    }

    /// Terms of all contracts of this attempt under which this node has advertised or accepted a roster.
    fn known_terms(&self) -> BTreeMap<Digest, Arc<Terms>> {
        let advertised = self.advertised.iter().map(|(digest, (terms, _))| (*digest, terms.clone()));
        let accepted = self.session().map(|session| (*session.terms().digest(), session.terms().clone()));
        advertised.chain(accepted).collect()
    }

    fn message(
        &mut self,
        from: MemberId,
        message: Message,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        match message {
            Message::Contract(contract) => self.contract(from, &contract, now, rng, deeds),
            Message::Roster(roster) if roster.signer != from => {
                self.roster_passed_on(from, &roster, now, rng, deeds);
            }
            Message::Shares(shares) if self.is_of_another_session(from, shares.session) => {
                self.show_roster(from, deeds);
            }
            Message::Timeout(shown) => self.timeout(from, *shown, now, rng, deeds),
            Message::TimedOut(timeout) if self.over => {
                self.answer(from, timeout.body.session, deeds);
            }
            // without the roster there is nothing to check it against
            Message::NewSlot(_) if !self.is_bound() => {}
            Message::Abandonment(abandonment) => self.abandonment(from, *abandonment, now, rng, deeds),
            Message::Abort(abort) if self.turn_passed(from, &abort, now, rng, deeds) => {}
            message => {
                let role = if message.is_for_aggregator() { Role::Aggregator } else { Role::Member };
                self.feed(role, Input::Message(from, Box::new(message)), now, rng, deeds);
            }
        }
    }

    fn both(&mut self, input: &dyn Fn() -> Input, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        self.feed(Role::Aggregator, input(), now, rng, deeds);
        let slots: Vec<u32> = self.successors.keys().copied().collect();
        for slot in slots {
            self.feed_successor(slot, input(), now, rng, deeds);
        }
        self.feed(Role::Member, input(), now, rng, deeds);
    }

    fn feed(&mut self, role: Role, input: Input, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        let outputs = match role {
            Role::Member => self.member.as_mut().map(|member| member.handle(input, now, rng)),
            Role::Aggregator => self.aggregator.as_mut().map(|aggregator| aggregator.handle(input, now, rng)),
        };
        self.take(role, outputs.unwrap_or_default(), now, rng, deeds);
    }

    /// Follows what the outputs of a machine mean for the round, and passes the others on.
    fn take(
        &mut self,
        role: Role,
        outputs: Vec<Output>,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            match (role, output) {
                (Role::Member, Output::Finished(outcome)) => {
                    self.member_finished(outcome, now, rng, deeds);
                }
                (Role::Member, Output::Journal(entry)) => {
                    match &entry {
                        JournalEntry::RosterAccepted { keys, .. } => {
                            Arc::make_mut(&mut self.setup.seen).extend(keys.iter().copied());
                        }
                        JournalEntry::Cohort { members, .. } => {
                            Arc::make_mut(&mut self.setup.guard).reveal(members.iter().copied());
                        }
                        _ => {}
                    }
                    deeds.push((role, Output::Journal(entry)));
                }
                (role, output) => deeds.push((role, output)),
            }
        }
        // my own slot is over for me, too, once I have followed into a later one
        let behind = |aggregator: &Aggregator| {
            self.member.as_ref().is_some_and(|member| member.slot() > aggregator.slot())
        };
        if role == Role::Member && self.aggregator.as_ref().is_some_and(behind) {
            self.aggregator = None;
        }
    }

    fn slot_over(&self, slot: u32, reason: AbortReason, deeds: &mut Deeds) {
        let Some(aggregator) = self.holder(slot) else { return };
        deeds.push((Role::Member, Output::SlotOver { attempt: self.attempt, slot, aggregator, reason }));
    }

    fn finish(&mut self, outcome: Outcome, deeds: &mut Deeds) {
        self.over = true;
        self.successors.clear();
        deeds.push((Role::Member, Output::Finished(outcome)));
    }

    fn holder(&self, slot: u32) -> Option<MemberId> {
        election::holder_in(&self.order, slot)
    }

    fn current_slot(&self) -> u32 {
        self.member.as_ref().map_or(self.slot, Member::slot).max(self.slot)
    }

    fn absent(&self) -> BTreeSet<MemberId> {
        self.setup.away.keys().copied().collect()
    }

    /// Those for whom an aggregator waits in vain.
    fn elsewhere(&self) -> BTreeSet<MemberId> {
        self.absent().union(&self.left).copied().collect()
    }

    /// A member that has just begun hears who is elsewhere.
    fn tell_who_left(&mut self, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        // it does not wait for a slot of its own that it will not open
        let me = (!self.setup.aggregates).then_some(self.me);
        for peer in self.left.clone().into_iter().chain(me) {
            self.feed(Role::Member, Input::Left(peer), now, rng, deeds);
        }
    }

    fn sign<T: crate::signing::Statement>(&self, body: T) -> Option<Signed<T>> {
        Signed::new(body, &self.setup.identity).ok()
    }
}
