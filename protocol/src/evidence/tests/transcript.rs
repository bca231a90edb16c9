//! What everybody signs in an attempt in which all do as they should.

use std::{collections::BTreeMap, sync::Arc};

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{
    array::Dtype,
    contract::{Contract, Task, Terms, spec_for},
    encoding::Reduction,
    hash::Digest,
    ids::MemberId,
    manifest::{Manifest, Policy},
    messages::{
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Proposal, Proposed, SurvivorSet, Value, Vote},
        masked_input::MaskedInput,
        publish::Sum,
        share_keys::{DealtCommitments, DealtShares, MaskSet, Receipt},
        unmasking::{Reveal, RevealedShare},
    },
    roster::{SeenKeys, Session},
    sharing::{MaskKey, SelfMaskSecret, deal},
    signing::{Identity, Signed, Statement},
    sim::{Consortium, consortium},
};

pub(super) const MEMBERS: usize = 5;

pub(super) fn five() -> Consortium {
    consortium(MEMBERS, Policy::default(), 8).unwrap()
}

pub(super) fn task(manifest: &Manifest, length: u64) -> Task {
    let spec = spec_for(manifest, [(vec![length], Dtype::I64)], Reduction::Sum, None);
    Task { label: None, query: [0; 32], spec }
}

/// The survivors' statements of a proposal that is for a sum.
pub(super) fn statements(proposal: &mut Proposal) -> &mut Vec<Signed<MaskedInput>> {
    match &mut proposal.value {
        Proposed::Survivors { statements, .. } => statements,
        Proposed::Abandon => panic!("it is for a sum"),
    }
}

#[derive(Clone)]
pub(super) struct Transcript {
    pub(super) identities: BTreeMap<MemberId, Arc<Identity>>,
    pub(super) terms: Arc<Terms>,
    pub(super) contract: Signed<Contract>,
    pub(super) advertisements: Vec<Signed<Advertisement>>,
    pub(super) roster: Signed<Roster>,
    pub(super) session: Session,
    pub(super) commitments: BTreeMap<MemberId, DealtCommitments>,
    /// By dealer, then by receiver.
    pub(super) dealt: BTreeMap<MemberId, Vec<Signed<DealtShares>>>,
    pub(super) receipts: Vec<Signed<Receipt>>,
    pub(super) mask_set: Signed<MaskSet>,
    pub(super) inputs: Vec<Signed<MaskedInput>>,
    pub(super) proposal: Signed<Proposal>,
    pub(super) survivors: SurvivorSet,
    pub(super) votes: Vec<Signed<Vote>>,
    pub(super) reveals: Vec<Signed<Reveal>>,
    pub(super) sum: Signed<Sum>,
}

impl Transcript {
    /// The last member is lost after it has dealt its shares.
    pub(super) fn of(consortium: &Consortium, round: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(round);
        let identities: BTreeMap<MemberId, Arc<Identity>> =
            consortium.identities.iter().map(|identity| (identity.id(), identity.clone())).collect();
        let manifest = &consortium.manifest;
        let terms = Arc::new(Terms::new(manifest.clone(), round, 0, 0, task(manifest, 3)).unwrap());
        let aggregator = &identities[&terms.aggregator()];
        let contract = terms.sign(aggregator).unwrap();
        let secrets: BTreeMap<MemberId, (MaskKey, SelfMaskSecret)> = identities
            .keys()
            .map(|id| (*id, (MaskKey::generate(&mut rng), SelfMaskSecret::generate(&mut rng))))
            .collect();
        let advertise = |(id, (mask_key, self_mask)): (&MemberId, &(MaskKey, SelfMaskSecret))| {
            let body = Advertisement {
                contract: *terms.digest(),
                mask_key: mask_key.public(),
                self_mask: self_mask.public_point(),
                sealing_key: x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(id.0))
                    .to_bytes(),
            };
            sign(body, &identities[id])
        };
        let advertisements: Vec<_> = secrets.iter().map(advertise).collect();
        let body = Roster { contract: *terms.digest(), advertisements: advertisements.clone() };
        let roster = sign(body, aggregator);
        let session = Session::new(terms.clone(), &roster, &SeenKeys::default()).unwrap();
        let (sid, threshold) = (session.id(), session.threshold());

        let (mut commitments, mut dealt) = (BTreeMap::new(), BTreeMap::new());
        for (dealer, (mask_key, self_mask)) in &secrets {
            let mask_key = deal(mask_key, threshold, MEMBERS, &mut rng).unwrap();
            let self_mask = deal(self_mask, threshold, MEMBERS, &mut rng).unwrap();
            let both = DealtCommitments { mask_key: mask_key.commitments, self_mask: self_mask.commitments };
            let shares = mask_key.shares.into_iter().zip(self_mask.shares).zip(identities.keys());
            let parts = shares.map(|((mask_key, self_mask), receiver)| {
                let (receiver, commitments) = (*receiver, both.clone());
                sign(
                    DealtShares { session: sid, receiver, commitments, mask_key, self_mask },
                    &identities[dealer],
                )
            });
            dealt.insert(*dealer, parts.collect::<Vec<_>>());
            commitments.insert(*dealer, both);
        }
        let confirmed: Vec<(MemberId, Digest)> =
            commitments.iter().map(|(id, both)| (*id, both.digest())).collect();
        // each has confirmed fewer before
        let receipts = identities.values().flat_map(|identity| {
            let own = |(dealer, _): &&(MemberId, Digest)| *dealer == identity.id();
            let first = confirmed.iter().filter(own).copied().collect();
            [first, confirmed.clone()].map(|confirmed| sign(Receipt { session: sid, confirmed }, identity))
        });
        let receipts = receipts.collect();
        let mask_set = sign(MaskSet { session: sid, dealers: confirmed.clone() }, aggregator);
        let input = |identity: &Arc<Identity>| {
            let root = crate::hash::digest("root", &[&identity.id().0, &sid.0]);
            sign(MaskedInput { session: sid, mask_set: mask_set.digest(), root }, identity)
        };
        let inputs: Vec<_> = identities.values().map(input).collect();
        let survivors = SurvivorSet::of(&inputs[..MEMBERS - 1]);
        let body = Proposal {
            session: sid,
            slot: 0,
            value: Proposed::Survivors { statements: inputs[..MEMBERS - 1].to_vec(), standbys: Vec::new() },
        };
        let proposal = sign(body, aggregator);
        let vote = Vote { session: sid, slot: 0, value: Value::Survivors(survivors.digest()) };
        let votes = identities.values().map(|identity| sign(vote, identity)).collect();
        let reveal = |(at, identity): (usize, &Arc<Identity>)| {
            let share = |(dealer, parts): (&MemberId, &Vec<Signed<DealtShares>>)| {
                let part = &parts[at].body;
                let share = match survivors.contains(dealer) {
                    true => RevealedShare::SelfMask(part.self_mask.clone()),
                    false => RevealedShare::PairwiseKey(part.mask_key.clone()),
                };
                (*dealer, share)
            };
            let shares = dealt.iter().map(share).collect();
            sign(Reveal { session: sid, survivors: survivors.digest(), shares }, identity)
        };
        let reveals = identities.values().enumerate().map(reveal).collect();
        let sum = sign(Sum { session: sid, survivors: survivors.digest(), root: [9; 32] }, aggregator);
        Self {
            identities: identities.clone(),
            terms: terms.clone(),
            contract,
            advertisements,
            roster,
            session,
            commitments,
            dealt,
            receipts,
            mask_set,
            inputs,
            proposal,
            survivors,
            votes,
            reveals,
            sum,
        }
    }

    pub(super) fn aggregator(&self) -> MemberId {
        self.terms.aggregator()
    }

    /// Some member that does not aggregate.
    pub(super) fn member(&self) -> MemberId {
        *self.identities.keys().find(|id| **id != self.aggregator()).unwrap()
    }

    pub(super) fn sign<T: Statement>(&self, body: T, by: &MemberId) -> Signed<T> {
        sign(body, &self.identities[by])
    }

    /// The same author signs something else.
    pub(super) fn altered<T: Statement + Clone>(
        &self,
        signed: &Signed<T>,
        alter: impl FnOnce(&mut T),
    ) -> Signed<T> {
        let mut body = signed.body.clone();
        alter(&mut body);
        self.sign(body, &signed.signer)
    }

    pub(super) fn by<'a, T: Statement>(&self, signed: &'a [Signed<T>], author: &MemberId) -> &'a Signed<T> {
        signed.iter().rfind(|statement| statement.signer == *author).unwrap()
    }
}

fn sign<T: Statement>(body: T, identity: &Identity) -> Signed<T> {
    Signed::new(body, identity).unwrap()
}
