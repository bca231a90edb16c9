//! What the coalition says, phase by phase. Each step is as an honest aggregator would take it, but for what it is
//! given.

use std::sync::Arc;

use consort_protocol::{
    hash::Digest,
    ids::MemberId,
    io::Input,
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        masked_input::MaskedInput,
        share_keys::{DealtShares, MaskSet},
    },
    roster::{SeenKeys, Session},
    signing::{Signature, Signed, sign_body},
};

use super::World;

impl World {
    /// The aggregator puts these on the roster and shows it to all of them that are honest; everybody deals.
    pub(crate) fn roster(&mut self, advertisements: Vec<Signed<Advertisement>>) {
        let body = Roster { contract: *self.terms.digest(), advertisements };
        let roster = self.sign(body, &self.aggregator());
        let message = Message::Roster(Box::new(roster.clone()));
        self.tap(self.aggregator(), self.aggregator(), message.clone());
        let Ok(session) = Session::new(self.terms.clone(), &roster, &SeenKeys::default()) else {
            let told = roster.body.advertisements.iter().map(|it| it.signer);
            for id in told.filter(|id| self.honest.contains_key(id)).collect::<Vec<_>>() {
                self.say(0, &id, message.clone());
            }
            return;
        };
        let session = Arc::new(session);
        self.session = Some(session.clone());
        let told = session.participants().iter().map(|it| it.id);
        let told: Vec<MemberId> = told.filter(|id| self.honest.contains_key(id)).collect();
        for id in &told {
            self.say(0, id, message.clone());
        }
        for dealer in self.corrupt_ids().into_iter().filter(|id| session.position(id).is_some()) {
            let dealt = self.corrupt[&dealer].secrets.deal(&session, &mut self.rng).unwrap();
            self.commitments.insert(dealer, dealt.commitments.clone());
            self.corrupt.get_mut(&dealer).unwrap().dealt = Some(dealt);
            for receiver in &told {
                let shares = self.part(&dealer, *receiver);
                let from = &self.corrupt[&dealer];
                let sealed = from.secrets.seal(&session, &from.identity, shares).unwrap();
                self.hear(receiver, Input::Message(dealer, Box::new(Message::Shares(Box::new(sealed)))));
            }
        }
    }

    fn part(&self, dealer: &MemberId, receiver: MemberId) -> DealtShares {
        let dealt = self.corrupt[dealer].dealt.as_ref().unwrap();
        let (mask_key, self_mask) = dealt.shares[self.session().position(&receiver).unwrap()].clone();
        let (session, commitments) = (self.session().id(), dealt.commitments.clone());
        DealtShares { session, receiver, commitments, mask_key, self_mask }
    }

    /// The roster of everybody in the manifest, in order.
    pub(crate) fn shared(mut self) -> Self {
        self.roster(self.advertisements.values().cloned().collect());
        self
    }

    pub(crate) fn dealers(&self) -> Vec<(MemberId, Digest)> {
        self.commitments.iter().map(|(id, commitments)| (*id, commitments.digest())).collect()
    }

    /// The aggregator announces this mask set; whoever accepts it sends its vector. The coalition states roots
    /// of vectors that nobody has made.
    pub(crate) fn mask(&mut self, dealers: Vec<(MemberId, Digest)>) {
        let everybody = self.honest_ids();
        self.mask_for(dealers, &everybody);
    }

    /// The same for some of the honest members.
    pub(crate) fn mask_for(&mut self, dealers: Vec<(MemberId, Digest)>, told: &[MemberId]) {
        if self.session.is_none() {
            return;
        }
        let body = MaskSet { session: self.session().id(), dealers };
        let mask_set = self.sign(body, &self.aggregator());
        self.mask_set = Some(mask_set.clone());
        for id in told {
            self.say(0, id, Message::MaskSet(Box::new(mask_set.clone())));
        }
        let body = MaskedInput { session: self.session().id(), mask_set: mask_set.digest(), root: [1; 32] };
        for id in self.corrupt_ids() {
            self.statements.insert(id, self.sign(body.clone(), &id));
        }
    }

    /// The mask set of everybody.
    pub(crate) fn masked(mut self) -> Self {
        self.mask(self.dealers());
        self
    }

    /// Statements of these, in order; those that were never made are left out.
    pub(crate) fn statements_of(&self, ids: &[MemberId]) -> Vec<Signed<MaskedInput>> {
        ids.iter().filter_map(|id| self.statements.get(id).cloned()).collect()
    }

    /// Everybody who has stated a root, with it.
    pub(crate) fn survivors(&self) -> SurvivorSet {
        SurvivorSet::of(&self.statements.values().cloned().collect::<Vec<_>>())
    }

    /// These survivors are proposed in a slot to all honest members; the coalition votes for them.
    pub(crate) fn propose(&mut self, slot: u32, statements: &[Signed<MaskedInput>]) -> SurvivorSet {
        let set = SurvivorSet::of(statements);
        let Some(session) = self.session.as_ref().map(|session| session.id()) else { return set };
        let value = Proposed::Survivors { statements: statements.to_vec(), standbys: Vec::new() };
        let holder = self.terms.holder(slot).unwrap();
        let proposal = self.sign(Proposal { session, slot, value }, &holder);
        for id in self.honest_ids() {
            self.say(slot, &id, Message::Proposal(Box::new(proposal.clone())));
        }
        let vote = Vote { session, slot, value: Value::Survivors(set.digest()) };
        for id in self.corrupt_ids() {
            let signature = sign_body(&vote, self.identity(&id)).unwrap();
            self.votes.entry((slot, set.digest())).or_default().insert(id, signature);
        }
        set
    }

    /// All votes for a set in a slot that members of the mask set have cast.
    pub(crate) fn votes(&self, slot: u32, survivors: &SurvivorSet) -> Vec<(MemberId, Signature)> {
        let cast = self.votes.get(&(slot, survivors.digest())).into_iter().flatten();
        let on_roster = cast.filter(|(id, _)| self.session().position(id).is_some());
        on_roster.map(|(id, signature)| (*id, *signature)).collect()
    }

    /// How many honest members have voted for this.
    pub(crate) fn honest_votes(&self, slot: u32, survivors: &SurvivorSet) -> usize {
        self.votes(slot, survivors).iter().filter(|(id, _)| self.honest.contains_key(id)).count()
    }

    /// Whoever holds a later slot shows the certificate of another one, with these votes.
    pub(crate) fn certify(
        &mut self,
        (shown_in, slot): (u32, u32),
        survivors: &SurvivorSet,
        votes: Vec<(MemberId, Signature)>,
        to: &[MemberId],
    ) {
        let Some(session) = self.session.as_ref().map(|session| session.id()) else { return };
        let certificate = Certificate { session, slot, survivors: survivors.clone(), votes };
        for id in to {
            self.say(shown_in, id, Message::Certificate(Box::new(certificate.clone())));
        }
    }
}
