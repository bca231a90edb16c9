//! A member takes part under the contract that it would have proposed itself, and under no other.

use std::sync::Arc;

use consort_protocol::{
    array::Dtype,
    contract::{Contract, ContractError, Task, Terms, spec_for},
    encoding::{Encoding, Reduction, SpecError},
    manifest::{Manifest, Policy},
    phase::Phase,
    signing::{Identity, Signed},
    sim::{Consortium, consortium},
};

fn members() -> Consortium {
    consortium(5, Policy::default(), 1).unwrap()
}

fn task(manifest: &Manifest) -> Task {
    let leaves = [(vec![3, 4], Dtype::F32), (vec![], Dtype::I64)];
    let spec = spec_for(manifest, leaves, Reduction::WeightedMean { max_weight: 100 }, None);
    Task { label: Some("ward".into()), query: [1; 32], spec }
}

fn aggregator<'a>(consortium: &'a Consortium, terms: &Terms) -> &'a Identity {
    consortium.identities.iter().find(|identity| identity.id() == terms.aggregator()).unwrap()
}

/// What a member answers to a contract that its aggregator changed before it signed.
fn answer(change: impl FnOnce(&mut Contract)) -> Result<Terms, ContractError> {
    let consortium = members();
    let task = task(&consortium.manifest);
    let terms = Terms::new(consortium.manifest.clone(), 7, 1, 0, task.clone()).unwrap();
    let mut contract = terms.contract().clone();
    change(&mut contract);
    let signed = Signed::new(contract, aggregator(&consortium, &terms)).unwrap();
    Terms::accept(consortium.manifest.clone(), &signed, &task)
}

#[test]
fn an_honest_one_gives_everybody_the_same_terms() {
    let consortium = members();
    let terms = Terms::new(consortium.manifest.clone(), 7, 1, 0, task(&consortium.manifest)).unwrap();
    let accepted = answer(|_| {}).unwrap();
    assert_eq!((accepted.digest(), accepted.layout()), (terms.digest(), terms.layout()));
    assert_eq!(accepted.aggregator(), terms.aggregator());
    assert_eq!(accepted.deadline(Phase::ShareKeys), terms.deadline(Phase::ShareKeys));
}

#[test]
fn of_another_manifest() {
    assert_eq!(answer(|contract| contract.manifest[0] ^= 1).err(), Some(ContractError::Manifest));
}

/// No bound, shape, encoding, label or question comes from the wire.
#[test]
fn with_anything_in_its_task_changed() {
    let changes: [&dyn Fn(&mut Task); 8] = [
        &|task| task.label = None,
        &|task| task.query[31] ^= 1,
        &|task| task.spec.leaves[0].shape[0] = 1 << 50,
        &|task| task.spec.leaves[0].dtype = Dtype::F64,
        &|task| task.spec.leaves[1].encoding = Encoding::Integer { bound: 1 },
        &|task| {
            if let Encoding::Fixed { clip, .. } = &mut task.spec.leaves[0].encoding {
                *clip = f64::NAN;
            }
        },
        &|task| task.spec.reduction = Reduction::Sum,
        &|task| task.spec.reduction = Reduction::WeightedMean { max_weight: 101 },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let error = answer(|contract| change(&mut contract.task)).err();
        assert_eq!(error, Some(ContractError::Task), "change {number}");
    }
}

#[test]
fn out_of_turn() {
    for change in
        [&|contract: &mut Contract| contract.round += 1, &|contract: &mut Contract| contract.slot = 1]
            as [&dyn Fn(&mut Contract); 2]
    {
        let error = answer(change).err();
        assert!(matches!(error, Some(ContractError::Turn { .. })), "{error:?}");
    }
    assert_eq!(answer(|contract| contract.slot = 15).err(), Some(ContractError::Slot(15)));
    assert_eq!(answer(|contract| contract.slot = u32::MAX).err(), Some(ContractError::Slot(u32::MAX)));
}

#[test]
fn not_signed_by_its_aggregator() {
    let consortium = members();
    let task = task(&consortium.manifest);
    let terms = Terms::new(consortium.manifest.clone(), 7, 1, 0, task.clone()).unwrap();
    let signed = terms.sign(aggregator(&consortium, &terms)).unwrap();
    let mut edited = signed.body.clone();
    edited.attempt += 1;
    let edited = Signed::from_parts(edited, signed.signer, signed.signature());
    let error = Terms::accept(consortium.manifest.clone(), &edited, &task).err();
    assert!(matches!(error, Some(ContractError::Signature(_))), "{error:?}");
}

#[test]
fn tasks_that_nobody_can_propose() {
    let consortium = members();
    let propose = |change: &dyn Fn(&mut Task)| {
        let mut task = task(&consortium.manifest);
        change(&mut task);
        Terms::new(consortium.manifest.clone(), 0, 0, 0, task).err()
    };
    assert_eq!(propose(&|task| task.label = Some("x".repeat(256))), None);
    assert_eq!(propose(&|task| task.label = Some("x".repeat(257))), Some(ContractError::Label(257)));
    let long = propose(&|task| task.spec.leaves[0].shape = vec![1 << 28]);
    assert_eq!(long, Some(ContractError::Spec(SpecError::TooLong { max_elements: 1 << 27 })));
    let wraps = propose(&|task| task.spec.leaves[1].encoding = Encoding::Integer { bound: u64::MAX });
    assert!(matches!(wraps, Some(ContractError::Spec(SpecError::Budget { .. }))), "{wraps:?}");
}

/// Members that were told different questions, or play another round, attempt or slot, never meet.
#[test]
fn everything_in_it_has_a_part_in_its_name() {
    let consortium = members();
    let digest = |round, attempt, slot, change: &dyn Fn(&mut Task)| {
        let mut task = task(&consortium.manifest);
        change(&mut task);
        *Terms::new(Arc::clone(&consortium.manifest), round, attempt, slot, task).unwrap().digest()
    };
    let same: &dyn Fn(&mut Task) = &|_| {};
    let mut digests = vec![
        digest(7, 1, 0, same),
        digest(8, 1, 0, same),
        digest(7, 2, 0, same),
        digest(7, 1, 1, same),
        digest(7, 1, 0, &|task| task.query[0] ^= 1),
        digest(7, 1, 0, &|task| task.label = None),
        digest(7, 1, 0, &|task| task.spec.leaves[0].shape = vec![4, 3]),
    ];
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 7);
}
