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
    attempt: u32,
    task: Digest,
    signature: Signature,
}

/// One offer for each slot.
#[derive(Default)]
pub(super) struct Offers(BTreeMap<(u64, u32), Offer>);

impl Offer {
    /// What is kept of a contract; `None` where it cannot have been a control message.
    pub(super) fn of(contract: &Signed<Contract>) -> Option<Self> {
        let Contract { manifest, attempt, ref task, .. } = contract.body;
        Some(Self {
            author: contract.signer,
            digest: signing::body_digest(&contract.body).ok()?,
            manifest,
            attempt,
            task: task.digest(),
            signature: contract.signature(),
        })
    }

    /// The contract, if it is for this task. Nothing else of it has been checked.
    pub(super) fn contract(&self, round: u64, slot: u32, task: &Task) -> Option<Signed<Contract>> {
        let Self { author, manifest, attempt, signature, .. } = *self;
        let body = Contract { manifest, round, attempt, slot, task: task.clone() };
        (self.task == task.digest()).then(|| Signed::from_parts(body, author, signature))
    }
}

impl Offers {
    /// Keeps the first offer of a slot.
    pub(super) fn keep(&mut self, round: u64, slot: u32, offer: Offer) {
        self.0.entry((round, slot)).or_insert(offer);
    }

    /// Takes the offer of this round's lowest slot that will do; those of earlier rounds are forgotten.
    pub(super) fn take(
        &mut self,
        round: u64,
        will_do: impl Fn(u32, &MemberId) -> bool,
    ) -> Option<(u32, Offer)> {
        self.0.retain(|(of, _), _| *of >= round);
        let offers = self.0.range((round, 0)..=(round, u32::MAX));
        let key = offers.into_iter().find(|((_, slot), offer)| will_do(*slot, &offer.author))?.0;
        let key = *key;
        Some((key.1, self.0.remove(&key)?))
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
        assert!(offer.contract(5, 1, &other).is_none());
        let again = offer.contract(5, 1, &mine).unwrap();
        assert_eq!(again, signed);
        assert!(Terms::accept(consortium.manifest.clone(), &again, &mine).is_ok());
        // the signature still covers everything: an offer filed under another round is worth nothing
        let elsewhere = offer.contract(9, 1, &mine).unwrap();
        let refused = Terms::accept(consortium.manifest.clone(), &elsewhere, &mine);
        assert!(matches!(refused, Err(ContractError::Signature(_) | ContractError::Turn { .. })));
    }

    #[test]
    fn the_lowest_slot_that_will_do_is_taken_once() {
        let consortium = consortium(4, Policy::default(), 1).unwrap();
        let mine = task(&consortium, 3);
        let mut offers = Offers::default();
        for (round, slot) in [(1, 0), (2, 3), (2, 1), (2, 0), (3, 0)] {
            let terms = Terms::new(consortium.manifest.clone(), round, 0, slot, mine.clone()).unwrap();
            let author = consortium.identities.iter().find(|it| it.id() == terms.aggregator()).unwrap();
            offers.keep(round, slot, Offer::of(&terms.sign(author).unwrap()).unwrap());
        }
        assert_eq!(offers.take(2, |slot, _| slot > 0).map(|(slot, _)| slot), Some(1));
        assert_eq!(offers.take(2, |slot, _| slot > 0).map(|(slot, _)| slot), Some(3));
        assert_eq!(offers.take(2, |slot, _| slot > 0).map(|(slot, _)| slot), None);
        assert_eq!(offers.take(2, |_, _| true).map(|(slot, _)| slot), Some(0));
        assert!(offers.take(1, |_, _| true).is_none(), "earlier rounds are forgotten");
        assert!(offers.take(3, |_, _| true).is_some());
    }
}
