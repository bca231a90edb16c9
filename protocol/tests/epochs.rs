//! Later epochs of a consortium: who has to sign, and the chains that are refused.

use core::cmp::Ordering;

use consort_protocol::{
    manifest::{
        Chain, MAX_MEMBERS, ManifestBody, ManifestError, MemberEntry, Policy, SignedManifest, consent,
        max_corrupt,
    },
    signing::Identity,
};

fn identity(number: u8) -> Identity {
    Identity::from_secret(&[number + 1; 32])
}

fn entry(number: u8) -> MemberEntry {
    MemberEntry {
        id: identity(number).id(),
        name: format!("node {number}"),
        addresses: Vec::new(),
        may_aggregate: true,
    }
}

fn by(mut signed: SignedManifest, numbers: impl IntoIterator<Item = u8>) -> SignedManifest {
    numbers.into_iter().for_each(|number| signed.sign(&identity(number)).unwrap());
    signed
}

fn founded(name: &str, members: u8) -> Chain {
    let body = ManifestBody {
        name: name.into(),
        epoch: 0,
        previous: None,
        members: (0..members).map(entry).collect(),
        policy: Policy::default(),
    };
    Chain::verify([by(SignedManifest::new(body), 0..members)]).unwrap()
}

/// What would be the next epoch with this change; nobody has signed it.
fn next(chain: &Chain, change: impl FnOnce(&mut ManifestBody)) -> SignedManifest {
    let manifest = chain.manifest();
    let mut body = manifest.body().clone();
    body.epoch += 1;
    body.previous = Some(*manifest.digest());
    change(&mut body);
    SignedManifest::new(body)
}

fn extended(chain: &Chain, next: SignedManifest) -> Result<Chain, ManifestError> {
    let mut longer = chain.clone();
    longer.extend(next).map(|()| longer)
}

/// Two next epochs have an honest signer in common, and c who are gone keep nobody from replacing them.
#[test]
fn how_many_have_to_consent() {
    for members in 3..=MAX_MEMBERS {
        let (needed, c) = (consent(members), max_corrupt(members));
        assert!(3 * needed > 2 * members && 3 * (needed - 1) <= 2 * members, "{members}");
        assert!(2 * needed - members > c, "{members}: two sets without an honest member in common");
        assert_eq!(needed <= members - c, members > 3, "{members}: without those who are lost");
    }
}

#[test]
fn members_come_and_go() {
    let first = founded("wards", 4);
    let added = extended(&first, by(next(&first, |body| body.members.push(entry(4))), [0, 1, 3])).unwrap();
    assert_eq!((added.manifest().epoch(), added.manifest().members().len()), (1, 5));
    assert_eq!(added.founding(), first.manifest().digest());

    // five members: four signatures, of whom the new one may give one, and the one who goes another
    let gone = identity(0).id();
    let without = |body: &mut ManifestBody| body.members.retain(|member| member.id != gone);
    let removed = extended(&added, by(next(&added, without), [0, 1, 2, 4])).unwrap();
    assert!(!removed.manifest().contains(&gone));
    assert_eq!(removed.founding(), first.founding());

    let again = Chain::verify(removed.iter()).unwrap();
    assert_eq!(again.manifest().digest(), removed.manifest().digest());
    assert_eq!(again.signed(1), added.signed(1));
    assert!(again.by_digest(added.manifest().digest()).is_some_and(|manifest| manifest.epoch() == 1));
    assert!(again.by_digest(&[0; 32]).is_none());
}

#[test]
fn too_few_signatures_or_those_of_others() {
    let chain = founded("wards", 4);
    let proposal = || next(&chain, |body| body.members.push(entry(4)));
    assert!(extended(&chain, by(proposal(), [0, 1, 2])).is_ok());

    let half = extended(&chain, by(proposal(), [0, 2])).err();
    let missing = half_missing(&[1, 3]);
    assert_eq!(half, Some(ManifestError::TooFewSignatures { epoch: 1, found: 2, needed: 3, missing }));
    let none = extended(&chain, proposal()).err();
    assert!(matches!(none, Some(ManifestError::TooFewSignatures { found: 0, .. })));

    // whoever is new has no say yet, however many have signed beside it
    let newcomer = extended(&chain, by(proposal(), [0, 1, 4])).err();
    assert_eq!(newcomer, Some(ManifestError::Signer { epoch: 1, signer: identity(4).id() }));

    let mut forged = by(proposal(), [0, 1, 2]);
    let of_another = forged.signatures[&identity(0).id()];
    forged.signatures.insert(identity(2).id(), of_another);
    assert_eq!(extended(&chain, forged).err(), Some(ManifestError::Signature(identity(2).id())));

    let mut edited = by(proposal(), 0..4);
    edited.body.policy.clip = 99.0;
    assert!(matches!(extended(&chain, edited), Err(ManifestError::Edited)));
}

fn half_missing(numbers: &[u8]) -> Vec<String> {
    let mut ids: Vec<_> = numbers.iter().map(|number| (identity(*number).id(), *number)).collect();
    ids.sort();
    ids.into_iter().map(|(_, number)| format!("node {number}")).collect()
}

/// All of three are more than two thirds of three, so one that is lost cannot be replaced.
#[test]
fn three_replace_nobody_without_all_three() {
    let chain = founded("trio", 3);
    let lost = identity(2).id();
    let replacement = next(&chain, |body| {
        body.members.retain(|member| member.id != lost);
        body.members.push(entry(7));
    });
    let refused = extended(&chain, by(replacement.clone(), [0, 1])).err();
    assert!(matches!(refused, Some(ManifestError::TooFewSignatures { found: 2, needed: 3, .. })));
    assert!(extended(&chain, by(replacement, [0, 1, 2])).is_ok());
}

#[test]
fn what_does_not_follow() {
    let chain = founded("wards", 4);
    let predecessor = |found| Some(ManifestError::Predecessor { found, previous: chain.manifest().epoch() });
    let refused = |change: fn(&mut ManifestBody)| extended(&chain, by(next(&chain, change), 0..4)).err();
    assert_eq!(refused(|body| body.epoch = 2), predecessor(2));
    assert_eq!(refused(|body| body.epoch = 0), predecessor(0));
    assert_eq!(refused(|body| body.epoch = u64::MAX), predecessor(u64::MAX));
    assert_eq!(refused(|body| body.previous = None), predecessor(1));
    assert_eq!(refused(|body| body.previous = Some([7; 32])), predecessor(1));

    let alone = by(next(&chain, |_| {}), 0..4);
    assert_eq!(alone.verify().err(), Some(ManifestError::Epoch(1)));
    let mut begun = chain.signed(0).unwrap().body;
    begun.previous = Some([7; 32]);
    let begun = by(SignedManifest::new(begun), 0..4);
    assert_eq!(begun.verify().err(), Some(ManifestError::Beginning));
    assert!(matches!(Chain::verify([]), Err(ManifestError::Empty)));

    // the rules hold for later epochs as for the first
    let weak = refused(|body| body.policy.corrupt = Some(3));
    assert!(matches!(weak, Some(ManifestError::Policy { key: "corrupt", .. })));
    let two = refused(|body| body.members.truncate(2));
    assert_eq!(two, Some(ManifestError::MemberCount { found: 2 }));

    // another consortium's next epoch
    let foreign = founded("others", 4);
    let foreign = by(next(&foreign, |_| {}), 0..4);
    assert_eq!(extended(&chain, foreign).err(), predecessor(1));
}

#[test]
fn an_edited_past_breaks_all_that_follows() {
    let first = founded("wards", 4);
    let chain = extended(&first, by(next(&first, |body| body.members.push(entry(4))), 0..4)).unwrap();
    let mut epochs: Vec<SignedManifest> = chain.iter().collect();
    let mut other = epochs[0].body.clone();
    other.policy.clip = 1.0;
    epochs[0] = by(SignedManifest::new(other), 0..4);
    let refused = Chain::verify(epochs.clone()).err();
    assert_eq!(refused, Some(ManifestError::Predecessor { found: 1, previous: 0 }));
    epochs.remove(0);
    assert_eq!(Chain::verify(epochs).err(), Some(ManifestError::Epoch(1)));
}

#[test]
fn chains_are_older_newer_foreign_or_forked() {
    let first = founded("wards", 4);
    let second = extended(&first, by(next(&first, |body| body.members.push(entry(4))), [0, 1, 2])).unwrap();
    assert_eq!(first.compare(&second), Ok(Ordering::Greater));
    assert_eq!(second.compare(&first), Ok(Ordering::Less));
    assert_eq!(second.compare(&second), Ok(Ordering::Equal));
    assert!(matches!(first.compare(&founded("others", 4)), Err(ManifestError::Foreign { .. })));

    let other = extended(&first, by(next(&first, |body| body.policy.clip = 2.0), [1, 2, 3])).unwrap();
    let both = half_missing(&[1, 2]);
    let fork = ManifestError::Fork { epoch: 1, both };
    assert_eq!(second.compare(&other), Err(fork.clone()));
    assert!(fork.to_string().starts_with("ALARM"));

    // a third epoch does not hide it
    let third = extended(&second, by(next(&second, |_| {}), 0..4)).unwrap();
    assert_eq!(third.compare(&other), Err(fork.clone()));
    assert_eq!(third.witness(&other.signed(1).unwrap()), Err(fork));
    // what is the same, or not signed by enough, is no alarm
    assert_eq!(third.witness(&second.signed(1).unwrap()), Ok(()));
    assert_eq!(third.witness(&by(next(&first, |body| body.policy.clip = 2.0), [1, 2])), Ok(()));
    assert_eq!(third.witness(&first.signed(0).unwrap()), Ok(()));
}

#[test]
fn signatures_are_counted_before_they_are_enough() {
    let chain = founded("wards", 4);
    let proposal = by(next(&chain, |_| {}), [2]);
    let tally = proposal.tally(Some(chain.manifest())).unwrap();
    assert_eq!((tally.found, tally.needed, tally.missing.len(), tally.is_complete()), (1, 3, 3, false));
    assert!(!tally.missing.contains(&identity(2).id()));
    let more = by(proposal, [0, 1]).tally(Some(chain.manifest())).unwrap();
    assert!(more.is_complete());
}
