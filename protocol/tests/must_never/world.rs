//! One attempt, step by step: real members, and a test that speaks for the aggregator and other puppets.
//!
//! Each `…ed` step is what an honest aggregator does; between two steps a test may say anything to
//! anybody.

use std::{collections::BTreeMap, sync::Arc};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};
use consort_protocol::{
    array::Dtype,
    contract::{Task, Terms, spec_for},
    encoding::Reduction,
    guard::Guard,
    hash::{Digest, digest},
    ids::MemberId,
    io::{Input, Now, Output, Work},
    manifest::Policy,
    masking::MaskPlan,
    member::Member,
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::StandbyReceipt,
        masked_input::MaskedInput,
        publish::{Published, Sum},
        share_keys::{DealtCommitments, MaskSet, Receipt},
        unmasking::Reveal,
    },
    opening::Opening,
    roster::{SeenKeys, Session},
    sharing::Lagrange,
    signing::{Identity, Signature, Signed, Statement, sign_body},
    sim::{Consortium, consortium},
};

use crate::puppet::Puppet;
pub(crate) use crate::refusal::{faults, gave_up, ignored, refused, sent};

pub(crate) struct World {
    pub(crate) consortium: Consortium,
    pub(crate) terms: Arc<Terms>,
    pub(crate) honest: BTreeMap<MemberId, Member>,
    pub(crate) puppets: BTreeMap<MemberId, Puppet>,
    pub(crate) advertisements: BTreeMap<MemberId, Signed<Advertisement>>,
    pub(crate) commitments: BTreeMap<MemberId, DealtCommitments>,
    pub(crate) receipts: BTreeMap<MemberId, Signed<Receipt>>,
    pub(crate) plans: BTreeMap<MemberId, Arc<MaskPlan>>,
    pub(crate) statements: BTreeMap<MemberId, Signed<MaskedInput>>,
    pub(crate) votes: BTreeMap<MemberId, Signed<Vote>>,
    pub(crate) reveals: BTreeMap<MemberId, Signed<Reveal>>,
    pub(crate) mask_set: Option<Signed<MaskSet>>,
    session: Option<Session>,
    pub(crate) rng: ChaCha20Rng,
}

/// Terms of the first slot of a round for a vector of integers.
pub(crate) fn terms(consortium: &Consortium, round: u64, attempt: u32, length: u64) -> Arc<Terms> {
    terms_under(consortium, (round, attempt), length, None)
}

fn terms_under(
    consortium: &Consortium,
    (round, attempt): (u64, u32),
    length: u64,
    label: Option<&str>,
) -> Arc<Terms> {
    let spec = spec_for(&consortium.manifest, [(vec![length], Dtype::I64)], Reduction::Sum, None);
    let task = Task { label: label.map(str::to_owned), query: [0; 32], spec };
    Arc::new(Terms::new(consortium.manifest.clone(), round, attempt, 0, task).unwrap())
}

impl World {
    /// Everybody has advertised. `corrupt` members are puppets, the aggregator first.
    pub(crate) fn new(members: usize, corrupt: usize) -> Self {
        Self::with(members, corrupt, 4, SeenKeys::default())
    }

    pub(crate) fn with(members: usize, corrupt: usize, length: u64, seen: SeenKeys) -> Self {
        let consortium = consortium(members, Policy::default(), 5).unwrap();
        let terms = terms(&consortium, 3, 0, length);
        Self::of(consortium, terms, corrupt, seen, Guard::default())
    }

    /// The inputs are the same data again, of which all honest members know these earlier sums.
    pub(crate) fn guarded(
        members: usize,
        corrupt: usize,
        label: Option<&str>,
        earlier: impl Fn(&[MemberId]) -> Vec<Vec<MemberId>>,
    ) -> Self {
        let consortium = consortium(members, Policy::default(), 5).unwrap();
        let terms = terms_under(&consortium, (3, 0), 4, label);
        let everybody: Vec<MemberId> = consortium.manifest.members().iter().map(|member| member.id).collect();
        let guard = Guard::new(2, earlier(&everybody));
        Self::of(consortium, terms, corrupt, SeenKeys::default(), guard)
    }

    fn of(consortium: Consortium, terms: Arc<Terms>, corrupt: usize, seen: SeenKeys, guard: Guard) -> Self {
        let members = consortium.identities.len();
        let mut rng = ChaCha20Rng::seed_from_u64(members as u64);
        let aggregator = terms.aggregator();
        let mut identities = consortium.identities.clone();
        identities.sort_by_key(|identity| (identity.id() != aggregator, identity.id()));
        let puppets: BTreeMap<_, _> = identities
            .drain(..corrupt)
            .map(|identity| (identity.id(), Puppet::new(identity, &mut rng)))
            .collect();
        let mut advertisements: BTreeMap<_, _> = puppets
            .values()
            .map(|puppet| (puppet.id(), sign(puppet.advertisement(terms.digest()), &puppet.identity)))
            .collect();
        let mut honest = BTreeMap::new();
        let seen = Arc::new(seen);
        for identity in identities {
            let (id, guard, none) = (identity.id(), Arc::new(guard.clone()), Default::default());
            let (member, out) =
                Member::join(identity, terms.clone(), seen.clone(), guard, none, Now::ZERO, &mut rng);
            honest.insert(id, member);
            for (to, message) in sent(&out) {
                let Message::Advertise(advertisement) = message else { panic!("it advertises first") };
                assert_eq!(to, aggregator);
                advertisements.insert(id, *advertisement);
            }
        }
        Self {
            consortium,
            terms,
            honest,
            puppets,
            advertisements,
            commitments: BTreeMap::new(),
            receipts: BTreeMap::new(),
            plans: BTreeMap::new(),
            statements: BTreeMap::new(),
            votes: BTreeMap::new(),
            reveals: BTreeMap::new(),
            mask_set: None,
            session: None,
            rng,
        }
    }

    pub(crate) fn aggregator(&self) -> MemberId {
        self.terms.aggregator()
    }

    /// The honest member on whom everything is tried.
    pub(crate) fn victim(&self) -> MemberId {
        *self.honest.keys().next().unwrap()
    }

    pub(crate) fn session(&self) -> &Session {
        self.session.as_ref().expect("the roster is out")
    }

    pub(crate) fn identity(&self, id: &MemberId) -> &Identity {
        self.consortium.identities.iter().find(|identity| identity.id() == *id).unwrap()
    }

    pub(crate) fn sign<T: Statement>(&self, body: T, by: &MemberId) -> Signed<T> {
        sign(body, self.identity(by))
    }

    /// Signed by the aggregator.
    pub(crate) fn decree<T: Statement>(&self, body: T) -> Signed<T> {
        self.sign(body, &self.aggregator())
    }

    pub(crate) fn say(&mut self, from: MemberId, to: &MemberId, message: Message) -> Vec<Output> {
        self.input(to, Input::Message(from, Box::new(message)))
    }

    /// The aggregator says something to the victim.
    pub(crate) fn tell(&mut self, message: Message) -> Vec<Output> {
        let (aggregator, victim) = (self.aggregator(), self.victim());
        self.say(aggregator, &victim, message)
    }

    pub(crate) fn input(&mut self, to: &MemberId, input: Input) -> Vec<Output> {
        self.honest.get_mut(to).unwrap().handle(input, Now::ZERO, &mut self.rng)
    }

    /// It is later, and the aggregator has just been heard of.
    pub(crate) fn at(&mut self, now: Now) -> Vec<Output> {
        let (aggregator, victim) = (self.aggregator(), self.victim());
        let alive = Input::Message(aggregator, Box::new(Message::Alive(*self.terms.digest())));
        let member = self.honest.get_mut(&victim).unwrap();
        assert!(member.handle(alive, now, &mut self.rng).is_empty());
        member.handle(Input::Tick, now, &mut self.rng)
    }

    pub(crate) fn honest_ids(&self) -> Vec<MemberId> {
        self.honest.keys().copied().collect()
    }

    pub(crate) fn puppet_ids(&self) -> Vec<MemberId> {
        self.puppets.keys().copied().collect()
    }

    pub(crate) fn roster_body(&self) -> Roster {
        Roster {
            contract: *self.terms.digest(),
            advertisements: self.advertisements.values().cloned().collect(),
        }
    }

    /// The roster is out, and all shares are dealt.
    pub(crate) fn shared(mut self) -> Self {
        let roster = self.decree(self.roster_body());
        let session = Session::new(self.terms.clone(), &roster, &SeenKeys::default()).unwrap();
        let mut shares = Vec::new();
        let everybody: Vec<MemberId> = self.advertisements.keys().copied().collect();
        for id in self.puppet_ids() {
            let dealt = self.puppets[&id].deal(&session, &mut self.rng);
            let puppet = &self.puppets[&id];
            for to in everybody.iter().filter(|to| **to != id) {
                shares.push((id, *to, puppet.seal(&session, to, puppet.part(&session, &dealt, to))));
            }
            let own = puppet.part(&session, &dealt, &id);
            self.commitments.insert(id, dealt.commitments);
            self.puppets.get_mut(&id).unwrap().held.insert(id, own);
        }
        let aggregator = self.aggregator();
        for id in self.honest_ids() {
            for (to, message) in sent(&self.say(aggregator, &id, Message::Roster(Box::new(roster.clone())))) {
                let Message::Shares(sealed) = message else { panic!("it deals shares") };
                shares.push((id, to, *sealed));
            }
        }
        for (from, to, sealed) in shares {
            if let Some(puppet) = self.puppets.get_mut(&to) {
                puppet.receive(&session, &sealed);
                continue;
            }
            let out = self.say(from, &to, Message::Shares(Box::new(sealed)));
            assert_eq!(faults(&out), []);
            for (_, message) in sent(&out) {
                let Message::Receipt(receipt, commitments) = message else { panic!("it sends a receipt") };
                self.receipts.insert(to, *receipt);
                self.commitments.insert(to, *commitments);
            }
        }
        self.session = Some(session);
        self
    }

    pub(crate) fn mask_set_body(&self) -> MaskSet {
        let dealers = self.commitments.iter().map(|(id, commitments)| (*id, commitments.digest())).collect();
        MaskSet { session: self.session().id(), dealers }
    }

    /// The mask set is out, and everybody has sent its vector.
    pub(crate) fn masked(mut self) -> Self {
        let mask_set = self.decree(self.mask_set_body());
        self.mask_set = Some(mask_set.clone());
        let aggregator = self.aggregator();
        for id in self.honest_ids() {
            let out = self.say(aggregator, &id, Message::MaskSet(Box::new(mask_set.clone())));
            let plan = out.iter().find_map(|output| match output {
                Output::Upload(plan, _) => Some(plan.clone()),
                _ => None,
            });
            self.plans.insert(id, plan.expect("it uploads"));
            for (_, message) in sent(&self.input(&id, Input::Done(Work::Uploaded(aggregator, root_of(&id)))))
            {
                let Message::MaskedInput(statement) = message else { panic!("it states its root") };
                self.statements.insert(id, *statement);
            }
        }
        for id in self.puppet_ids() {
            let body =
                MaskedInput { session: self.session().id(), mask_set: mask_set.digest(), root: root_of(&id) };
            self.statements.insert(id, self.sign(body, &id));
        }
        self
    }

    pub(crate) fn proposal_body(&self, survivors: &[MemberId]) -> Proposal {
        self.proposal_in(0, survivors)
    }

    pub(crate) fn proposal_in(&self, slot: u32, survivors: &[MemberId]) -> Proposal {
        let statements: Vec<_> = survivors.iter().map(|id| self.statements[id].clone()).collect();
        let standbys = self.standbys(slot, &SurvivorSet::of(&statements));
        let value = Proposed::Survivors { statements, standbys };
        Proposal { session: self.session().id(), slot, value }
    }

    /// Receipts of as many members as have to stand by in a slot, none of them its aggregator.
    pub(crate) fn standbys(&self, slot: u32, survivors: &SurvivorSet) -> Vec<Signed<StandbyReceipt>> {
        let body = StandbyReceipt { session: self.session().id(), slot, survivors: survivors.digest() };
        let ids = self.statements.keys().filter(|id| Some(**id) != self.terms.holder(slot));
        ids.take(self.session().standbys(survivors.vectors.len())).map(|id| self.sign(body, id)).collect()
    }

    pub(crate) fn everybody(&self) -> Vec<MemberId> {
        self.statements.keys().copied().collect()
    }

    /// Everybody in the order of the ids, without some.
    pub(crate) fn without(&self, absent: &[MemberId]) -> Vec<MemberId> {
        self.everybody().into_iter().filter(|id| !absent.contains(id)).collect()
    }

    /// These survivors are proposed, and everybody has voted.
    pub(crate) fn voted(mut self, survivors: &[MemberId]) -> Self {
        let proposal = self.decree(self.proposal_body(survivors));
        let aggregator = self.aggregator();
        for id in self.honest_ids() {
            let out = self.say(aggregator, &id, Message::Proposal(Box::new(proposal.clone())));
            for (_, message) in sent(&out) {
                let Message::Vote(vote) = message else { panic!("it votes") };
                self.votes.insert(id, *vote);
            }
        }
        self
    }

    pub(crate) fn survivors(&self, ids: &[MemberId]) -> SurvivorSet {
        let statements: Vec<_> = ids.iter().map(|id| self.statements[id].clone()).collect();
        SurvivorSet::of(&statements)
    }

    /// Votes of these members on these survivors, whatever they want.
    pub(crate) fn certificate(&self, survivors: SurvivorSet, voters: &[MemberId]) -> Certificate {
        let (session, slot) = (self.session().id(), 0);
        let vote = Vote { session, slot, value: Value::Survivors(survivors.digest()) };
        let votes = voters.iter().map(|id| (*id, self.signature(&vote, id))).collect();
        Certificate { session, slot, survivors, votes }
    }

    pub(crate) fn signature<T: Statement>(&self, body: &T, by: &MemberId) -> Signature {
        sign_body(body, self.identity(by)).unwrap()
    }

    /// The certificate is out, with votes of all survivors, and everybody has revealed its shares.
    pub(crate) fn revealed(mut self, survivors: &[MemberId]) -> Self {
        let certificate = self.certificate(self.survivors(survivors), survivors);
        let aggregator = self.aggregator();
        for id in self.honest_ids() {
            let out = self.say(aggregator, &id, Message::Certificate(Box::new(certificate.clone())));
            for (_, message) in sent(&out) {
                let Message::Reveal(reveal) = message else { panic!("it reveals") };
                self.reveals.insert(id, *reveal);
            }
        }
        self
    }

    pub(crate) fn published(&self, certificate: Certificate) -> Published {
        let session = self.session().id();
        let mask_set = self.mask_set.clone().expect("the mask set is out");
        let survivors = certificate.survivors.digest();
        let sum = self.decree(Sum { session, survivors, root: [9; 32] });
        Published { sum, certificate, opening: self.opening(&mask_set), mask_set }
    }

    /// What the reveals give, once there are enough.
    fn opening(&self, mask_set: &Signed<MaskSet>) -> Option<Opening> {
        let session = self.session();
        let needed = session.threshold().get();
        let secret = |(dealer, _): &(MemberId, Digest)| {
            let shares = self.reveals.iter().filter_map(|(holder, reveal)| {
                let (_, share) = reveal.body.shares.get(dealer)?.open();
                Some((session.share_index(holder)?, share))
            });
            let (indices, shares): (Vec<_>, Vec<_>) = shares.take(needed).unzip();
            Lagrange::new(&indices).ok()?.combine(&shares).ok()
        };
        mask_set.body.dealers.iter().map(secret).collect::<Option<_>>().map(Opening::made_up)
    }
}

pub(crate) fn sign<T: Statement>(body: T, identity: &Identity) -> Signed<T> {
    Signed::new(body, identity).unwrap()
}

/// Randomness for what a test makes up.
pub(crate) fn random() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(99)
}

/// What a member says of a vector that nobody made.
pub(crate) fn root_of(id: &MemberId) -> Digest {
    digest("test root", &[&id.0])
}

/// Somebody who is no member of any consortium.
pub(crate) fn stranger() -> Identity {
    Identity::from_secret(&[77; 32])
}

impl World {
    /// A statement of another kind, whose signature is worth nothing elsewhere.
    pub(crate) fn mask_set_like(&self) -> &Advertisement {
        &self.advertisements[&self.aggregator()].body
    }
}
