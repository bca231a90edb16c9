//! Contracts that came before this node was ready for them.
//!
//! Of a contract only what cannot be computed is kept: a member joins none but the one that it would have
//! written for its own task, so a digest of the task is enough to know it again. An offer is small
//! whatever its author sent, and there are only so many slots, so nobody can push out anybody else's.

use std::collections::BTreeMap;

use consort_protocol::{
    contract::{Contract, Task},
    hash::Digest,
    ids::MemberId,
    signing::{self, Signature, Signed},
};

/// One contract, without its task.
pub(super) struct Offer {
    pub(super) author: MemberId,
    /// What a decline names.
    pub(super) digest: Digest,
    manifest: Digest,
    task: Digest,
    signature: Signature,
}

/// One offer for each slot.
#[derive(Default)]
pub(super) struct Offers(BTreeMap<Place, Offer>);

/// Round, attempt and slot.
type Place = (u64, u32, u32);

impl Offer {
    /// What is kept of a contract; `None` where it cannot have been a control message.
    pub(super) fn of(contract: &Signed<Contract>) -> Option<Self> {
        let Contract { manifest, ref task, .. } = contract.body;
        Some(Self {
            author: contract.signer,
            digest: signing::body_digest(&contract.body).ok()?,
            manifest,
            task: task.digest(),
            signature: contract.signature(),
        })
    }

    /// Whether it is for the task with this digest.
    pub(super) fn is_for(&self, task: &Digest) -> bool {
        self.task == *task
    }

    /// The contract, if it is for this task. Nothing else of it has been checked.
    pub(super) fn contract(&self, place: Place, task: &Task) -> Option<Signed<Contract>> {
        let Self { author, manifest, signature, .. } = *self;
        let (round, attempt, slot) = place;
        let body = Contract { manifest, round, attempt, slot, task: task.clone() };
        (self.task == task.digest()).then(|| Signed::from_parts(body, author, signature))
    }
}

impl Offers {
    /// Keeps the first offer of a slot.
    pub(super) fn keep(&mut self, place: Place, offer: Offer) {
        self.0.entry(place).or_insert(offer);
    }

    /// Whether there is an offer of a first attempt in a slot that will do, for this task.
    pub(super) fn has(&self, round: u64, task: &Digest, will_do: impl Fn(u32) -> bool) -> bool {
        let mut offers = self.0.range((round, 0, 0)..=(round, 0, u32::MAX));
        offers.any(|((.., slot), offer)| offer.task == *task && will_do(*slot))
    }

    /// Takes all offers of this round; those of earlier rounds are forgotten.
    pub(super) fn take(&mut self, round: u64) -> BTreeMap<Place, Offer> {
        self.0.retain(|(of, ..), _| *of >= round);
        let later = self.0.split_off(&(round.saturating_add(1), 0, 0));
        std::mem::replace(&mut self.0, later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_protocol::{
        array::Dtype,
        contract::{ContractError, Terms, spec_for},
        encoding::Reduction,
        manifest::Policy,
        sim::{Consortium, consortium},
    };

    fn task(consortium: &Consortium, length: u64) -> Task {
        let spec = spec_for(&consortium.manifest, [(vec![length], Dtype::F32)], Reduction::Sum, None);
        Task { label: Some("ward".into()), query: [7; 32], spec }
    }

    #[test]
    fn a_contract_is_known_again_by_its_task_alone() {
        let consortium = consortium(4, Policy::default(), 1).unwrap();
        let (mine, other) = (task(&consortium, 3), task(&consortium, 4));
        let terms = Terms::new(consortium.manifest.clone(), 5, 0, 1, mine.clone()).unwrap();
        let author =
            consortium.identities.iter().find(|identity| identity.id() == terms.aggregator()).unwrap();
        let signed = terms.sign(author).unwrap();
        let offer = Offer::of(&signed).unwrap();
        assert_eq!(offer.digest, *terms.digest());
        assert!(offer.contract((5, 0, 1), &other).is_none());
        let again = offer.contract((5, 0, 1), &mine).unwrap();
        assert_eq!(again, signed);
        assert!(Terms::accept(consortium.manifest.clone(), &again, &mine).is_ok());
        // the signature still covers everything: an offer filed under another round is worth nothing
        let elsewhere = offer.contract((9, 0, 1), &mine).unwrap();
        let refused = Terms::accept(consortium.manifest.clone(), &elsewhere, &mine);
        assert!(matches!(refused, Err(ContractError::Signature(_) | ContractError::Turn { .. })));
    }

    #[test]
    fn a_round_takes_its_offers_once() {
        let consortium = consortium(4, Policy::default(), 1).unwrap();
        let mine = task(&consortium, 3);
        let mut offers = Offers::default();
        for (round, attempt, slot) in [(1, 0, 0), (2, 0, 3), (2, 1, 1), (3, 0, 0)] {
            let terms = Terms::new(consortium.manifest.clone(), round, attempt, slot, mine.clone()).unwrap();
            let author = consortium.identities.iter().find(|it| it.id() == terms.aggregator()).unwrap();
            let offer = Offer::of(&terms.sign(author).unwrap()).unwrap();
            offers.keep((round, attempt, slot), offer);
        }
        let task = mine.digest();
        assert!(offers.has(2, &task, |slot| slot == 3));
        assert!(!offers.has(2, &task, |slot| slot == 1), "not of a first attempt");
        assert!(!offers.has(2, &[0; 32], |_| true), "for another task");
        assert_eq!(offers.take(2).into_keys().collect::<Vec<_>>(), [(2, 0, 3), (2, 1, 1)]);
        assert!(offers.take(2).is_empty());
        assert!(offers.take(1).is_empty(), "earlier rounds are forgotten");
        assert_eq!(offers.take(3).len(), 1);
    }
}
