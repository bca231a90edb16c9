//! Rosters, time-outs and abandonments that reach a node which is elsewhere in the round.

use super::*;
use crate::{
    certificate::check_abandonment,
    messages::{
        advertise_keys::Roster,
        failover::{Passage, ShownTimeout, Timeout},
        share_keys::MaskSet,
    },
    mutation::{Check, checked},
    roster::Session,
};

/// A session that I have heard of while my keys were out for a later slot.
pub(super) struct Aside {
    session: Session,
    /// Who has given up slots of it, and what they show for that.
    shown: BTreeMap<MemberId, Shown>,
}

/// A [`ShownTimeout`] without the session, which is the same for all.
type Shown = (Signed<Timeout>, Option<Signed<MaskSet>>, Vec<Passage>);

impl Round {
    /// A member has given up the slot before one of mine.
    pub(super) fn timeout(
        &mut self,
        from: MemberId,
        shown: ShownTimeout,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        if self.over {
            return self.answer(from, shown.timeout.body.session, deeds);
        }
        let bound = self.member.as_ref().and_then(Member::session).cloned();
        let session = match bound {
            Some(session) if session.id() == shown.timeout.body.session => session,
            Some(_) => return,
            None if !self.is_next(&shown) => return,
            None if self.is_elsewhere(from, &shown.session.roster) => return self.put_aside(from, shown),
            None => match self.bind(&shown.session.roster, now, rng, deeds) {
                Some(session) => session,
                None => return,
            },
        };
        let Some(slot) = session.next_slot(shown.timeout.body.slot) else { return };
        if self.holder(slot) == Some(self.me) && !self.setup.aggregates {
            return self.pass_turn_in(&session, slot, from, deeds);
        }
        let acting = self.aggregator.as_ref().filter(|aggregator| !aggregator.is_over());
        let past = self.member.as_ref().is_some_and(|member| member.is_past(slot))
            || acting.is_some_and(|aggregator| aggregator.slot() >= slot)
            || self.acted >= Some((self.attempt, slot));
        if self.holder(slot) != Some(self.me) || past {
            return;
        }
        if !self.successors.contains_key(&slot) {
            let commitments = self.member.as_ref().map(Member::commitments).unwrap_or_default();
            let identity = self.setup.identity.clone();
            let (guard, elsewhere) = (self.setup.guard.clone(), self.elsewhere());
            let successor = Aggregator::succeed(identity, session, slot, commitments, guard, elsewhere, now);
            self.successors.insert(slot, successor);
        }
        let input = Input::Message(from, Box::new(Message::Timeout(Box::new(shown))));
        self.feed_successor(slot, input, now, rng, deeds);
    }

    pub(super) fn feed_successor(
        &mut self,
        slot: u32,
        input: Input,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        let Some(successor) = self.successors.get_mut(&slot) else { return };
        let outputs = successor.handle(input, now, rng);
        if successor.phase().is_some() || successor.is_over() {
            self.aggregator = self.successors.remove(&slot);
            self.acted = Some((self.attempt, slot));
            self.successors.retain(|later, _| *later > slot);
        }
        self.take(Role::Aggregator, outputs, now, rng, deeds);
    }

    /// Somebody who is bound by a roster of this attempt shows it to me: I am on it, or it is nothing to me.
    pub(super) fn roster_passed_on(
        &mut self,
        from: MemberId,
        roster: &Signed<Roster>,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        if self.over || self.is_bound() || !self.setup.manifest.contains(&from) {
            return;
        }
        if self.is_elsewhere(from, roster) {
            self.keep_aside(roster);
        } else {
            self.bind(roster, now, rng, deeds);
        }
    }

    /// Whether my keys are out for a later slot than this roster's, whose holder does not follow it, as far as I know.
    /// Then it has to wait until that slot is over: whoever made it could show it to half of the members just before
    /// the slot's own roster arrives, and neither would have a quorum.
    fn is_elsewhere(&self, from: MemberId, roster: &Signed<Roster>) -> bool {
        let Some(waiting) = self.member.as_ref().filter(|member| member.advertised().is_some()) else {
            return false;
        };
        let holder = self.holder(waiting.slot());
        let earlier = self.advertised.get(&roster.body.contract).map(|(terms, _)| terms.contract().slot);
        earlier.is_none_or(|earlier| earlier < waiting.slot())
            && holder != Some(from)
            && holder != Some(self.me)
    }

    /// Whether I am the next in order on this roster after the slot that is given up.
    fn is_next(&self, shown: &ShownTimeout) -> bool {
        let listed = |id: &MemberId| {
            let advertisements = &shown.session.roster.body.advertisements;
            advertisements.binary_search_by_key(id, |advertisement| advertisement.signer).is_ok()
        };
        let later = shown.timeout.body.slot.saturating_add(1)..;
        later.map_while(|slot| self.holder(slot)).find(listed) == Some(self.me)
    }

    fn put_aside(&mut self, from: MemberId, shown: ShownTimeout) {
        let ShownTimeout { timeout, session, mask_set, history } = shown;
        if let Some(aside) = self.keep_aside(&session.roster)
            && timeout.body.session == aside.session.id()
            && aside.session.position(&from).is_some()
        {
            aside.shown.insert(from, (timeout, mask_set, history));
        }
    }

    /// The first roster of an earlier slot that I am on is remembered.
    fn keep_aside(&mut self, roster: &Signed<Roster>) -> Option<&mut Aside> {
        if self.aside.is_none() {
            let session = self.session_of(roster)?;
            self.aside = Some(Aside { session, shown: BTreeMap::new() });
        }
        self.aside.as_mut().filter(|aside| aside.session.roster().digest() == roster.digest())
    }

    /// The slot that kept me is over, without a roster. Gives whether there was another to follow.
    pub(super) fn follow_aside(&mut self, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) -> bool {
        let Some(Aside { session, shown }) = self.aside.take() else { return false };
        if session.terms().contract().attempt != self.attempt || self.over {
            return false;
        }
        let proof = session.proof();
        self.look_on(session, now, rng, deeds);
        for (from, (timeout, mask_set, history)) in shown {
            let shown = ShownTimeout { timeout, session: proof.clone(), mask_set, history };
            self.timeout(from, shown, now, rng, deeds);
        }
        self.is_bound()
    }

    /// Accepts a roster from somebody who passes it on. It may have overtaken its author's message: while the
    /// keys that it lists are here it counts as that one, or whoever is faster than the author could make
    /// spectators of everybody.
    fn bind(
        &mut self,
        roster: &Signed<Roster>,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) -> Option<Arc<Session>> {
        let waiting = self.member.as_ref().is_some_and(|member| member.waits_for(&roster.body.contract));
        // what is wrong with an unsigned one is not its author's fault
        if !waiting || roster.verify().is_err() {
            return self.spectate(roster, now, rng, deeds);
        }
        let message = Message::Roster(Box::new(roster.clone()));
        self.feed(Role::Member, Input::Message(roster.signer, Box::new(message)), now, rng, deeds);
        self.session()
    }

    /// Whether somebody on my roster deals in another session than mine. One of us was shown a second roster,
    /// or is late.
    pub(super) fn is_of_another_session(&self, dealer: MemberId, named: SessionId) -> bool {
        self.session().is_some_and(|mine| mine.id() != named && mine.position(&dealer).is_some())
            && !self.shown_roster.contains(&dealer)
    }

    /// Shows the roster that I have accepted to somebody who may have accepted another: two of them prove that
    /// their author signed both.
    pub(super) fn show_roster(&mut self, to: MemberId, deeds: &mut Deeds) {
        let Some(session) = self.session() else { return };
        self.shown_roster.insert(to);
        let message = Message::Roster(Box::new(session.roster().clone()));
        deeds.push((Role::Member, Output::Send(to, Box::new(message))));
    }

    /// A roster of this attempt that I am on, but whose slot I have given up before it came: I am bound by it
    /// like the others, and all others shall hear of it.
    fn spectate(
        &mut self,
        roster: &Signed<Roster>,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) -> Option<Arc<Session>> {
        let session = self.session_of(roster)?;
        self.look_on(session, now, rng, deeds);
        self.session()
    }

    /// The session of a roster of this attempt, if I am on it with what I advertised.
    fn session_of(&self, roster: &Signed<Roster>) -> Option<Session> {
        let (terms, advertisement) = self.advertised.get(&roster.body.contract)?;
        let session = Session::new(terms.clone(), roster, &self.setup.seen).ok()?;
        let mine = session.position(&self.me).and_then(|at| roster.body.advertisements.get(at));
        let as_signed = mine.map(Signed::digest).as_ref() == Some(advertisement);
        (as_signed || !checked(Check::OwnAdvertisement)).then_some(session)
    }

    fn look_on(&mut self, session: Session, now: Now, rng: &mut impl CryptoRng, deeds: &mut Deeds) {
        let slot = self.current_slot();
        let given_up = session.terms().contract().slot.max(slot.saturating_sub(1));
        if self.holder(slot) == Some(self.me) {
            let others = session.participants().iter().map(|participant| participant.id);
            for member in others.filter(|id| *id != self.me) {
                let message = Message::Roster(Box::new(session.roster().clone()));
                deeds.push((Role::Aggregator, Output::Send(member, Box::new(message))));
            }
        }
        // where I had only asked for keys in this slot of mine, I have not opened it in the session
        let asked = self.aggregator.take().is_some_and(|mine| mine.phase() == Some(Phase::AdvertiseKeys));
        if asked && self.acted == Some((self.attempt, slot)) {
            self.acted = None;
        }
        let identity = self.setup.identity.clone();
        let (member, outputs) =
            Member::spectate(identity, session, self.setup.guard.clone(), self.absent(), given_up, now);
        self.member = Some(member);
        self.take(Role::Member, outputs, now, rng, deeds);
        self.tell_who_left(now, rng, deeds);
    }

    /// An attempt was abandoned.
    pub(super) fn abandonment(
        &mut self,
        from: MemberId,
        abandonment: Abandonment,
        now: Now,
        rng: &mut impl CryptoRng,
        deeds: &mut Deeds,
    ) {
        if self.over || abandonment.session.attempt != self.attempt {
            return;
        }
        if self.is_bound() {
            let attempt = self.attempt;
            let message = Message::Abandonment(Box::new(abandonment.clone()));
            // kept first: if it holds, the next attempt begins while the member is told
            let known = self.abandoned.insert(attempt, abandonment);
            self.feed(Role::Member, Input::Message(from, Box::new(message)), now, rng, deeds);
            if self.attempt == attempt {
                match known {
                    Some(known) => self.abandoned.insert(attempt, known),
                    None => self.abandoned.remove(&attempt),
                };
            }
            return;
        }
        let RoundSetup { manifest, number, task, seen, .. } = &self.setup;
        let Ok(session) = Session::from_proof(manifest, *number, task, &abandonment.session, seen) else {
            return;
        };
        if check_abandonment(&session, &abandonment).is_err() {
            return;
        }
        let slot = abandonment.slot;
        self.abandoned.insert(self.attempt, abandonment);
        (self.member, self.aggregator) = (None, None);
        let reason = AbortReason::Abandoned { slot, why: "its members voted to begin again".into() };
        self.slot_over(slot, reason, deeds);
        self.next_attempt(slot, now, rng, deeds);
    }

    /// Whoever waits for a result that is here gets it.
    pub(super) fn answer(&self, to: MemberId, session: SessionId, deeds: &mut Deeds) {
        if let Some(published) = self.published.as_ref().filter(|it| it.sum.body.session == session) {
            let message = Message::Published(Box::new(published.clone()));
            deeds.push((Role::Member, Output::Send(to, Box::new(message))));
        }
    }
}
