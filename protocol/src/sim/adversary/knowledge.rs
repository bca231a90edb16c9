//! What a liar, or a whole coalition, has heard and can use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    hash::Digest,
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::{
        Message,
        advertise_keys::Advertisement,
        consistency_check::{Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::StandbyReceipt,
        masked_input::MaskedInput,
        share_keys::MaskSet,
    },
    roster::Session,
    signing::{Signature, Signed},
};

use super::super::sessions::Sessions;

/// Messages that are kept to be said again.
const KEPT: usize = 64;

pub(super) struct Knowledge {
    pub(super) sessions: Sessions,
    pub(super) advertisements: BTreeMap<(Digest, MemberId), Signed<Advertisement>>,
    pub(super) mask_set: Option<Signed<MaskSet>>,
    pub(super) statements: BTreeMap<(SessionId, MemberId), Signed<MaskedInput>>,
    pub(super) proposal: Option<Signed<Proposal>>,
    pub(super) votes: BTreeMap<(SessionId, u32, Value), BTreeMap<MemberId, Signature>>,
    pub(super) receipts: BTreeMap<(SessionId, u32, Digest), BTreeMap<MemberId, Signed<StandbyReceipt>>>,
    pub(super) sets: BTreeMap<Digest, SurvivorSet>,
    /// The last of what was heard from others.
    pub(super) heard: Vec<Message>,
}

impl Knowledge {
    pub(super) fn new(manifest: Arc<Manifest>) -> Self {
        let (advertisements, statements, votes, receipts, sets, heard) = Default::default();
        let (mask_set, proposal, sessions) = (None, None, Sessions::new(manifest));
        Self { sessions, advertisements, mask_set, statements, proposal, votes, receipts, sets, heard }
    }

    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.sessions.latest().cloned()
    }

    pub(super) fn hear(&mut self, message: &Message) {
        if self.heard.len() == KEPT {
            self.heard.remove(0);
        }
        self.heard.push(message.clone());
        self.learn(message);
    }

    pub(super) fn learn(&mut self, message: &Message) {
        self.sessions.learn(message);
        match message {
            Message::Advertise(it) => {
                self.advertisements.insert((it.body.contract, it.signer), (**it).clone());
            }
            Message::Roster(roster) => {
                for it in &roster.body.advertisements {
                    self.advertisements.insert((it.body.contract, it.signer), it.clone());
                }
            }
            Message::MaskSet(it) => self.mask_set = Some((**it).clone()),
            Message::MaskedInput(it) => {
                self.statements.insert((it.body.session, it.signer), (**it).clone());
            }
            Message::Proposal(it) => {
                if let Proposed::Survivors { statements, .. } = &it.body.value {
                    self.set(SurvivorSet::of(statements));
                }
                self.proposal = Some((**it).clone());
            }
            Message::Certificate(it) => self.set(it.survivors.clone()),
            Message::Vote(it) => {
                let Vote { session, slot, value } = it.body;
                self.votes.entry((session, slot, value)).or_default().insert(it.signer, it.signature());
            }
            Message::StandbyReceipt(it) => {
                let StandbyReceipt { session, slot, survivors } = it.body;
                let of_set = self.receipts.entry((session, slot, survivors)).or_default();
                of_set.insert(it.signer, (**it).clone());
            }
            _ => {}
        }
    }

    fn set(&mut self, set: SurvivorSet) {
        self.sets.insert(set.digest(), set);
    }

    /// Who can be told something in the current attempt: everybody on the roster, or in the manifest.
    pub(super) fn everybody(&self) -> BTreeSet<MemberId> {
        match self.sessions.latest() {
            Some(session) => session.participants().iter().map(|participant| participant.id).collect(),
            None => self.sessions.manifest().members().iter().map(|member| member.id).collect(),
        }
    }
}
