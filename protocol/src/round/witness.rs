//! Remembers what the others have signed, and proves it where one of them contradicts itself.
//!
//! The machines refuse what is wrong and go on; they need no proof. This file watches the same messages: of
//! each statement that an honest member makes once at one place it keeps the first, and compares every other
//! with it. A message that a machine has refused is looked at once more, as a breach by itself.
//!
//! What is kept is bounded, whoever floods this node ([`firsts`]): of members only, at places that exist, and
//! large statements only once their signature verifies.

mod firsts;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::firsts::Firsts;
use crate::{
    contract::{Contract, Terms},
    evidence::{Breach, Crime, Evidence},
    fault::{FaultKind, PeerFault},
    hash::Digest,
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::{Abandonment, NewSlot, Passage, Timeout},
        masked_input::MaskedInput,
        publish::{Published, Sum},
        share_keys::{DealtCommitments, MaskSet, Receipt},
        unmasking::{Reveal, RevealedDigests},
    },
    phase::Phase,
    roster::Session,
    signing::{Signature, Signed},
};

/// What was signed in one session.
#[derive(Default)]
struct InSession {
    receipts: BTreeMap<MemberId, Signed<Receipt>>,
    commitments: BTreeMap<MemberId, DealtCommitments>,
    mask_sets: Firsts<(), MaskSet>,
    inputs: Firsts<(), MaskedInput>,
    proposals: Firsts<u32, Proposal>,
    votes: Firsts<u32, Vote>,
    timeouts: Firsts<u32, Timeout>,
    new_slots: Firsts<u32, NewSlot>,
    reveals: BTreeMap<MemberId, Signed<Reveal>>,
    sums: Firsts<Digest, Sum>,
    /// The set of the last certificate that was shown.
    survivors: Option<SurvivorSet>,
}

/// What the members of a round have signed, as far as one node has seen it.
pub(super) struct Witness {
    manifest: Arc<Manifest>,
    contracts: Firsts<(u32, u32), Contract>,
    advertisements: Firsts<Digest, Advertisement>,
    rosters: Firsts<Digest, Roster>,
    /// The last session that this node was in: some break their word when it is over.
    session: Option<Arc<Session>>,
    said: InSession,
    /// One proof of each crime is enough.
    convicted: BTreeSet<(MemberId, Crime)>,
}

impl Witness {
    pub(super) fn new(manifest: Arc<Manifest>) -> Self {
        let (contracts, advertisements, rosters, session, said, convicted) = Default::default();
        Self { manifest, contracts, advertisements, rosters, session, said, convicted }
    }

    /// Looks at a message before the machines do. `terms` are those of a contract by its digest, where they
    /// are known; `session` is the one whose roster this node has accepted.
    pub(super) fn watch(
        &mut self,
        message: &Message,
        session: Option<Arc<Session>>,
        terms: &dyn Fn(&Digest) -> Option<Arc<Terms>>,
    ) -> Vec<Evidence> {
        let mut found = Vec::new();
        match message {
            Message::Advertise(it) => found.extend(self.advertisement(it, terms)),
            Message::Roster(it) => found.extend(self.roster(it, terms)),
            _ => {}
        }
        if let Some(session) = session
            && self.session.as_ref().is_none_or(|known| known.id() != session.id())
        {
            (self.session, self.said) = (Some(session), InSession::default());
        }
        if let Some(session) = &self.session {
            self.said.watch(message, session, &mut found);
        }
        self.new_only(found)
    }

    /// Two contracts for one turn. `terms` are of that turn.
    pub(super) fn contract(&mut self, contract: &Signed<Contract>, terms: &Terms) -> Vec<Evidence> {
        let place = (contract.body.attempt, contract.body.slot);
        let proof = |first: &_, second: &_| Evidence::early_conflict(terms, first, second);
        let found = self.contracts.see_verified(place, contract, proof).evidence();
        self.new_only(found)
    }

    /// Looks once more at a message that a machine has refused.
    pub(super) fn refused(
        &mut self,
        message: &Message,
        terms: &dyn Fn(&Digest) -> Option<Arc<Terms>>,
    ) -> Vec<Evidence> {
        let breach = |breach| Evidence::breach(self.session.as_ref()?, breach);
        let found = match message {
            Message::Roster(it) => {
                terms(&it.body.contract).and_then(|terms| Evidence::bad_roster(&terms, it))
            }
            Message::MaskSet(it) => breach(Breach::MaskSet((**it).clone())),
            Message::Proposal(it) => breach(Breach::Proposal((**it).clone())),
            Message::Reveal(it) => self.said.survivors.clone().and_then(|survivors| {
                breach(Breach::RevealedKind(RevealedDigests::of_signed(it), survivors))
            }),
            _ => None,
        };
        self.new_only(found)
    }

    /// The aggregator on this node has found a revealed share to be wrong.
    pub(super) fn wrong_share(&mut self, fault: &PeerFault) -> Vec<Evidence> {
        if fault.phase != Phase::Unmasking || fault.kind != FaultKind::Share {
            return Vec::new();
        }
        let said = &self.said;
        let (Some(session), Some(reveal), Some(receipt)) =
            (&self.session, said.reveals.get(&fault.who), said.receipts.get(&fault.who))
        else {
            return Vec::new();
        };
        let prove = |(dealer, commitments): (&MemberId, &DealtCommitments)| {
            Evidence::breach(session, Breach::of_reveal(reveal, receipt, dealer, commitments)?)
        };
        let found = said.commitments.iter().find_map(prove);
        self.new_only(found)
    }

    fn advertisement(
        &mut self,
        advertisement: &Signed<Advertisement>,
        terms: &dyn Fn(&Digest) -> Option<Arc<Terms>>,
    ) -> Option<Evidence> {
        let terms = terms(&advertisement.body.contract)?;
        if !self.manifest.contains(&advertisement.signer) {
            return None;
        }
        let proof = |first: &_, second: &_| Evidence::early_conflict(&terms, first, second);
        self.advertisements.see(*terms.digest(), advertisement, proof).evidence()
    }

    fn roster(
        &mut self,
        roster: &Signed<Roster>,
        terms: &dyn Fn(&Digest) -> Option<Arc<Terms>>,
    ) -> Option<Evidence> {
        let known = terms(&roster.body.contract).filter(|terms| terms.aggregator() == roster.signer)?;
        let proof = |first: &_, second: &_| Evidence::early_conflict(&known, first, second);
        let two = self.rosters.see_verified(*known.digest(), roster, proof).evidence();
        let advertisements = roster.body.advertisements.iter();
        two.or_else(|| {
            advertisements.filter_map(|advertisement| self.advertisement(advertisement, terms)).next()
        })
    }

    fn new_only(&mut self, found: impl IntoIterator<Item = Evidence>) -> Vec<Evidence> {
        let is_new = |evidence: &Evidence| {
            let proven = evidence.verify(&self.manifest).ok();
            proven.is_some_and(|proven| self.convicted.insert((proven.culprit, proven.crime)))
        };
        found.into_iter().filter(is_new).collect()
    }
}

impl InSession {
    fn watch(&mut self, message: &Message, session: &Session, found: &mut Vec<Evidence>) {
        match message {
            Message::Receipt(receipt, commitments) => self.receipt(receipt, commitments, session, found),
            Message::Commitments(known) if known.session == session.id() => {
                // they may come from anybody
                let mask_set = self.mask_sets.of(&session.terms().aggregator()).next();
                let named: BTreeMap<_, _> =
                    mask_set.into_iter().flat_map(|(_, it)| it.body.dealers.iter().copied()).collect();
                for (dealer, commitments) in &known.dealers {
                    if named.get(dealer).is_some_and(|digest| *digest == commitments.digest()) {
                        self.commitments.insert(*dealer, commitments.clone());
                    }
                }
            }
            Message::MaskSet(it) => self.mask_set(it, session, found),
            Message::MaskedInput(it) => self.input(it, session, found),
            Message::Proposal(it) => self.proposal(it, session, found),
            Message::Vote(it) => self.vote(it, session, found),
            Message::Certificate(it) => self.certificate(it, session, found),
            Message::Reveal(it) => self.reveal(it, session, found),
            Message::Published(it) => self.published(it, session, found),
            Message::TimedOut(it) => self.timeout(it, session, found),
            Message::Timeout(shown) => {
                self.timeout(&shown.timeout, session, found);
                shown.mask_set.iter().for_each(|it| self.mask_set(it, session, found));
                self.history(&shown.history, session, found);
            }
            Message::NewSlot(shown) => {
                self.new_slot(&shown.new_slot, session, found);
                shown.mask_set.iter().for_each(|it| self.mask_set(it, session, found));
                self.history(&shown.history, session, found);
            }
            Message::Abandonment(it) if it.session.roster.digest() == session.roster().digest() => {
                let Abandonment { slot, votes, .. } = &**it;
                self.votes(*slot, Value::Abandon, votes, session, found);
            }
            _ => {}
        }
    }

    fn receipt(
        &mut self,
        receipt: &Signed<Receipt>,
        commitments: &DealtCommitments,
        session: &Session,
        found: &mut Vec<Evidence>,
    ) {
        if !on_roster(session, &receipt.signer, &receipt.body.session) {
            return;
        }
        if let Some(earlier) = self.receipts.get(&receipt.signer) {
            found.extend(Evidence::conflict(session, earlier, receipt));
        }
        // a later one confirms more
        if receipt.verify().is_ok() {
            if receipt.body.confirmed.contains(&(receipt.signer, commitments.digest())) {
                self.commitments.entry(receipt.signer).or_insert_with(|| commitments.clone());
            }
            self.receipts.insert(receipt.signer, receipt.clone());
        }
    }

    fn mask_set(&mut self, mask_set: &Signed<MaskSet>, session: &Session, found: &mut Vec<Evidence>) {
        if mask_set.signer == session.terms().aggregator() && mask_set.body.session == session.id() {
            let proof = |a: &_, b: &_| Evidence::conflict(session, a, b);
            found.extend(self.mask_sets.see_verified((), mask_set, proof).evidence());
        }
    }

    fn input(&mut self, input: &Signed<MaskedInput>, session: &Session, found: &mut Vec<Evidence>) {
        if on_roster(session, &input.signer, &input.body.session) {
            let proof = |a: &_, b: &_| Evidence::conflict(session, a, b);
            found.extend(self.inputs.see((), input, proof).evidence());
        }
    }

    fn proposal(&mut self, proposal: &Signed<Proposal>, session: &Session, found: &mut Vec<Evidence>) {
        let Proposal { session: named, slot, value } = &proposal.body;
        if *named != session.id() || session.terms().holder(*slot) != Some(proposal.signer) {
            return;
        }
        let seen = self.proposals.see_verified(*slot, proposal, |a, b| Evidence::conflict(session, a, b));
        if seen.known(found) {
            return;
        }
        if let Proposed::Survivors { statements, .. } = value {
            statements.iter().for_each(|statement| self.input(statement, session, found));
        }
    }

    fn vote(&mut self, vote: &Signed<Vote>, session: &Session, found: &mut Vec<Evidence>) {
        let slot = vote.body.slot;
        if !on_roster(session, &vote.signer, &vote.body.session) || session.terms().holder(slot).is_none() {
            return;
        }
        let seen = self.votes.see(slot, vote, |a, b| Evidence::conflict(session, a, b));
        if seen.known(found) {
            return;
        }
        let timeouts = self.timeouts.of(&vote.signer);
        let mut denying = timeouts.filter(|(_, timeout)| timeout.body.denies(&vote.body)).peekable();
        // once, however many time-outs there are: most votes are denied by none, and forged ones cost no more
        if denying.peek().is_some() && vote.verify().is_ok() {
            found.extend(denying.find_map(|(_, timeout)| broken(session, timeout, vote)));
        }
    }

    fn timeout(&mut self, timeout: &Signed<Timeout>, session: &Session, found: &mut Vec<Evidence>) {
        let slot = timeout.body.slot;
        let known = session.terms().holder(slot).is_some();
        if !on_roster(session, &timeout.signer, &timeout.body.session) || !known {
            return;
        }
        let seen = self.timeouts.see(slot, timeout, |a, b| Evidence::conflict(session, a, b));
        if seen.known(found) {
            return;
        }
        let others = self.timeouts.of(&timeout.signer);
        found.extend(others.filter_map(|(_, other)| Evidence::conflict(session, other, timeout)).next());
        let votes = self.votes.of(&timeout.signer);
        found.extend(votes.filter_map(|(_, vote)| broken(session, timeout, vote)).next());
    }

    fn new_slot(&mut self, new_slot: &Signed<NewSlot>, session: &Session, found: &mut Vec<Evidence>) {
        let NewSlot { session: named, slot, timeouts } = &new_slot.body;
        if *named != session.id() || session.terms().holder(*slot) != Some(new_slot.signer) {
            return;
        }
        let seen = self.new_slots.see_verified(*slot, new_slot, |a, b| Evidence::conflict(session, a, b));
        if seen.known(found) {
            return;
        }
        timeouts.iter().for_each(|timeout| self.timeout(timeout, session, found));
    }

    fn history(&mut self, history: &[Passage], session: &Session, found: &mut Vec<Evidence>) {
        for Passage { new_slot, proposal } in history {
            new_slot.iter().for_each(|it| self.new_slot(it, session, found));
            self.proposal(proposal, session, found);
        }
    }

    fn certificate(&mut self, certificate: &Certificate, session: &Session, found: &mut Vec<Evidence>) {
        let Certificate { session: named, slot, survivors, votes } = certificate;
        if *named == session.id() {
            self.survivors = Some(survivors.clone());
            self.votes(*slot, Value::Survivors(survivors.digest()), votes, session, found);
        }
    }

    fn votes(
        &mut self,
        slot: u32,
        value: Value,
        votes: &[(MemberId, Signature)],
        session: &Session,
        found: &mut Vec<Evidence>,
    ) {
        for (voter, signature) in votes {
            let vote = Vote { session: session.id(), slot, value };
            self.vote(&Signed::from_parts(vote, *voter, *signature), session, found);
        }
    }

    fn reveal(&mut self, reveal: &Signed<Reveal>, session: &Session, found: &mut Vec<Evidence>) {
        if !on_roster(session, &reveal.signer, &reveal.body.session) {
            return;
        }
        match self.reveals.get(&reveal.signer) {
            Some(first) => {
                let [first, second] = [first, reveal].map(RevealedDigests::of_signed);
                found.extend(Evidence::conflict(session, &first, &second));
            }
            None if reveal.verify().is_ok() => drop(self.reveals.insert(reveal.signer, reveal.clone())),
            None => {}
        }
    }

    fn published(&mut self, published: &Published, session: &Session, found: &mut Vec<Evidence>) {
        let Published { sum, certificate, mask_set, .. } = published;
        if sum.body.session == session.id() && session.terms().holder(certificate.slot) == Some(sum.signer) {
            let place = sum.body.survivors;
            let proof = |a: &_, b: &_| Evidence::conflict(session, a, b);
            found.extend(self.sums.see_verified(place, sum, proof).evidence());
        }
        self.mask_set(mask_set, session, found);
        self.certificate(certificate, session, found);
    }
}

fn on_roster(session: &Session, signer: &MemberId, named: &SessionId) -> bool {
    *named == session.id() && session.position(signer).is_some()
}

fn broken(session: &Session, timeout: &Signed<Timeout>, vote: &Signed<Vote>) -> Option<Evidence> {
    let breach = || Evidence::breach(session, Breach::Promise(timeout.clone(), vote.clone()));
    // the proof takes the whole roster: nobody has it computed with words that nobody signed
    let signed = || timeout.verify().is_ok() && vote.verify().is_ok();
    (timeout.body.denies(&vote.body) && signed()).then(breach).flatten()
}
