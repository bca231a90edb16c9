//! A global observer: what honest nodes say, write down and end with, against the rules.
//!
//! It is fed with every envelope as it is sent, every journal entry and every ending. What corrupt nodes say
//! is looked at only to learn which sets there are. A value *may be certified* where honest votes for it in
//! one slot and all corrupt members on the roster are a threshold together: whether the coalition has cast
//! its votes yet makes no difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    evidence::{Evidence, Proven},
    fault::PeerFault,
    hash::Digest,
    ids::{MemberId, SessionId},
    io::JournalEntry,
    manifest::Manifest,
    messages::{
        Message,
        consistency_check::{Proposed, SurvivorSet, Value},
        unmasking::RevealedShare,
    },
    report::Outcome,
    roster::keys_of,
};

use super::{report::Envelope, sessions::Sessions};

#[cfg(test)]
mod tests;

pub use super::violation::Violation;

/// Watches one round.
pub struct Monitor {
    corrupt: BTreeSet<MemberId>,
    sessions: Sessions,
    journals: BTreeMap<MemberId, Vec<JournalEntry>>,
    sets: BTreeMap<Digest, SurvivorSet>,
    votes: BTreeMap<(SessionId, u32, Value), BTreeSet<MemberId>>,
    voted: BTreeMap<(MemberId, SessionId, u32), Value>,
    /// Values that may be certified, by session.
    certified: BTreeMap<SessionId, BTreeSet<Value>>,
    /// Where the input of an honest member may be summed.
    summed: BTreeMap<MemberId, (SessionId, Digest)>,
    revealed: BTreeMap<(MemberId, SessionId, MemberId), bool>,
    roots: BTreeMap<(MemberId, SessionId), Digest>,
    keys: BTreeMap<[u8; 32], (MemberId, Digest)>,
    violations: Vec<Violation>,
}

impl Monitor {
    /// Watches a round of this manifest in which these members are corrupt.
    #[must_use]
    pub fn new(manifest: Arc<Manifest>, corrupt: impl IntoIterator<Item = MemberId>) -> Self {
        let (journals, sets, votes, voted, certified) = Default::default();
        let (summed, revealed, roots, keys, violations) = Default::default();
        Self {
            corrupt: corrupt.into_iter().collect(),
            sessions: Sessions::new(manifest),
            journals,
            sets,
            votes,
            voted,
            certified,
            summed,
            revealed,
            roots,
            keys,
            violations,
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(super) fn is_honest(&self, id: &MemberId) -> bool {
        !self.corrupt.contains(id)
    }

    /// The honest part of every set that may be certified, by its session.
    pub(super) fn certified_sets(&self) -> impl Iterator<Item = (SessionId, BTreeSet<MemberId>)> + '_ {
        let sets =
            self.certified.iter().flat_map(|(session, values)| values.iter().map(|value| (*session, *value)));
        sets.filter_map(|(session, value)| match value {
            Value::Survivors(digest) => {
                let honest = self.sets.get(&digest)?.ids().filter(|id| self.is_honest(id)).collect();
                Some((session, honest))
            }
            Value::Abandon => None,
        })
    }

    /// A node has written something down.
    pub fn journal(&mut self, by: MemberId, entry: &JournalEntry) {
        let journal = self.journals.entry(by).or_default();
        if let JournalEntry::RosterAccepted { attempt, session, .. } = entry {
            let other = |earlier: &JournalEntry| match earlier {
                JournalEntry::RosterAccepted { attempt: same, session: of, .. } => {
                    same == attempt && of != session
                }
                _ => false,
            };
            if journal.iter().any(other) && !self.corrupt.contains(&by) {
                self.violations.push(Violation::TwoRosters { by, attempt: *attempt });
            }
        }
        journal.push(entry.clone());
    }

    /// A message is on its way, whoever has said it.
    pub fn overheard(&mut self, message: &Message) {
        self.sessions.learn(message);
        self.learn_sets(message);
    }

    /// A message leaves a node.
    pub fn sent(&mut self, Envelope { from, message, .. }: &Envelope) {
        self.overheard(message);
        if self.is_honest(from) {
            self.check(*from, message);
        }
    }

    /// A node names a fault.
    pub fn fault(&mut self, by: MemberId, fault: &PeerFault) {
        let PeerFault { who, kind, .. } = fault;
        if fault.blames() && self.is_honest(&by) && self.is_honest(who) {
            self.violations.push(Violation::Framed { by, who: *who, kind: kind.clone() });
        }
    }

    /// The run is over for a node that lives.
    pub fn ended(&mut self, by: MemberId, outcome: Option<&Outcome>, has_sum: bool) {
        if !self.is_honest(&by) {
            return;
        }
        match outcome {
            None => self.violation(Violation::Stuck { by }),
            Some(Outcome::Completed { .. }) if !has_sum => self.violation(Violation::NoSum { by }),
            Some(_) => {}
        }
    }

    /// A node proves something.
    pub fn evidence(&mut self, by: MemberId, evidence: &Evidence) {
        match evidence.verify(self.sessions.manifest()) {
            Ok(Proven { culprit, crime, .. }) if self.is_honest(&culprit) => {
                self.violation(Violation::Convicted { by, who: culprit, crime });
            }
            Err(_) if self.is_honest(&by) => self.violation(Violation::Unproven { by }),
            _ => {}
        }
    }

    pub(super) fn violation(&mut self, violation: Violation) {
        if !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    fn learn_sets(&mut self, message: &Message) {
        let set = match message {
            Message::Proposal(it) => match &it.body.value {
                Proposed::Survivors { statements, .. } => SurvivorSet::of(statements),
                Proposed::Abandon => return,
            },
            Message::Certificate(it) => it.survivors.clone(),
            _ => return,
        };
        self.sets.insert(set.digest(), set);
    }

    fn check(&mut self, by: MemberId, message: &Message) {
        let what = match message {
            Message::Advertise(it) => {
                for key in keys_of(&it.body) {
                    let first = *self.keys.entry(key).or_insert((by, it.body.contract));
                    if first != (by, it.body.contract) {
                        self.violation(Violation::ReusedKey { by });
                    }
                }
                let Some(terms) = self.sessions.terms(&it.body.contract) else { return };
                let contract = terms.contract();
                let (round, attempt, slot) = (contract.round, contract.attempt, contract.slot);
                ("its keys", JournalEntry::Joined { round, attempt, slot })
            }
            Message::Shares(it) => {
                let accepted = |entry: &JournalEntry| matches!(entry, JournalEntry::RosterAccepted { session, .. } if *session == it.session);
                if !self.journals.get(&by).is_some_and(|journal| journal.iter().any(accepted)) {
                    self.violation(Violation::BeforeJournal { by, what: "its dealing" });
                }
                return;
            }
            Message::MaskedInput(it) => {
                let (session, root) = (it.body.session, it.body.root);
                if *self.roots.entry((by, session)).or_insert(root) != root {
                    self.violation(Violation::TwoRoots { by, session });
                }
                self.check_attempt(by, session);
                ("its root", JournalEntry::InputSent(session, root))
            }
            Message::Vote(it) => {
                self.vote(by, it.body.session, it.body.slot, it.body.value);
                ("its vote", JournalEntry::Voted(it.body.session, it.body.slot, it.body.value))
            }
            Message::Reveal(it) => {
                let (session, value) = (it.body.session, Value::Survivors(it.body.survivors));
                if !self.certified.get(&session).is_some_and(|values| values.contains(&value)) {
                    self.violation(Violation::Uncertified { by, session });
                }
                for (of, share) in &it.body.shares {
                    let kind = matches!(share, RevealedShare::SelfMask(_));
                    if *self.revealed.entry((by, session, *of)).or_insert(kind) != kind {
                        self.violation(Violation::BothShares { by, session, of: *of });
                    }
                }
                ("its shares", JournalEntry::Revealed(session, it.body.survivors))
            }
            Message::TimedOut(it) if it.signer == by => {
                ("its promise", JournalEntry::TimedOut(it.body.session, it.body.slot))
            }
            Message::Timeout(it) => {
                let body = &it.timeout.body;
                ("its promise", JournalEntry::TimedOut(body.session, body.slot))
            }
            Message::NewSlot(it) => {
                ("its slot", JournalEntry::Opened(it.new_slot.body.session, it.new_slot.body.slot))
            }
            Message::Proposal(it) => {
                let (session, slot) = (it.body.session, it.body.slot);
                ("its proposal", JournalEntry::Proposed(session, slot, it.body.value.value()))
            }
            Message::Acknowledge(it) => {
                ("its receipt", JournalEntry::Acknowledged(it.body.session, it.body.root))
            }
            _ => return,
        };
        let (what, entry) = what;
        if !self.journals.get(&by).is_some_and(|journal| journal.contains(&entry)) {
            self.violation(Violation::BeforeJournal { by, what });
        }
    }

    fn vote(&mut self, by: MemberId, session: SessionId, slot: u32, value: Value) {
        if *self.voted.entry((by, session, slot)).or_insert(value) != value {
            self.violation(Violation::TwoVotes { by, session, slot });
        }
        let journal = self.journals.get(&by);
        let promised = |entry: &JournalEntry| match entry {
            JournalEntry::TimedOut(of, up_to) => *of == session && *up_to >= slot,
            JournalEntry::Followed(of, into) => *of == session && *into > slot,
            _ => false,
        };
        let voted = JournalEntry::Voted(session, slot, value);
        // what was promised after the vote does not speak against it
        let mut before = journal.into_iter().flatten().take_while(|entry| **entry != voted);
        if before.any(promised) {
            self.violation(Violation::VoteBelowPromise { by, session, slot });
        }
        let Some(roster) = self.sessions.get(&session).cloned() else { return };
        if let Value::Survivors(digest) = &value {
            let in_order = self.sets.get(digest).is_some_and(|set| {
                set.vectors.len() >= roster.min_survivors()
                    && set.ids().all(|id| roster.position(&id).is_some())
            });
            if !in_order {
                self.violation(Violation::BadVote { by });
            }
        }
        let votes = self.votes.entry((session, slot, value)).or_default();
        votes.insert(by);
        let corrupt = self.corrupt.iter().filter(|id| roster.position(id).is_some()).count();
        if votes.len() + corrupt >= roster.threshold().get() {
            self.may_be_certified(session, value);
        }
    }

    fn may_be_certified(&mut self, session: SessionId, value: Value) {
        let values = self.certified.entry(session).or_default();
        values.insert(value);
        if values.len() > 1 {
            self.violation(Violation::TwoCertified { session });
        }
        let Value::Survivors(digest) = value else { return };
        let survivors = self.sets.get(&digest).map(|set| set.ids().collect::<Vec<_>>());
        for of in survivors.unwrap_or_default() {
            let here = (session, digest);
            if self.is_honest(&of) && *self.summed.entry(of).or_insert(here) != here {
                self.violation(Violation::InputTwice { of });
            }
        }
    }

    /// A vector may leave only once every earlier session of its owner is abandoned for good, and some
    /// session of every earlier attempt.
    fn check_attempt(&mut self, by: MemberId, session: SessionId) {
        let attempt_of = |session: &SessionId| {
            let session = self.sessions.get(session)?;
            Some(session.terms().contract().attempt)
        };
        let Some(attempt) = attempt_of(&session) else { return };
        let over = |session: &SessionId| {
            self.certified.get(session).is_some_and(|values| values.contains(&Value::Abandon))
        };
        let still_in = |entry: &JournalEntry| match entry {
            JournalEntry::RosterAccepted { attempt: earlier, session, .. } => {
                *earlier < attempt && !over(session)
            }
            _ => false,
        };
        let ended: BTreeSet<u32> =
            self.certified.keys().filter(|session| over(session)).filter_map(attempt_of).collect();
        let mut journal = self.journals.get(&by).into_iter().flatten();
        if journal.any(still_in) || !(0..attempt).all(|earlier| ended.contains(&earlier)) {
            self.violation(Violation::EarlyInput { by, attempt });
        }
    }
}
