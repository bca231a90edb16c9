//! Results that are none.

use consort_protocol::{
    fault::FaultKind,
    io::Input,
    messages::{
        Message,
        consistency_check::{Certificate, SurvivorSet},
        publish::{Published, Sum},
        share_keys::MaskSet,
    },
    mutation::{Check, Removed},
    signing::Signed,
};

use crate::world::World;

/// A sum with any root, which `signer` (of the coalition) announces with this certificate.
fn announce(world: &mut World, signer: usize, certificate: Certificate) {
    let mask_set = world.mask_set.clone().unwrap();
    announce_with(world, signer, certificate, mask_set);
}

fn announce_with(world: &mut World, signer: usize, certificate: Certificate, mask_set: Signed<MaskSet>) {
    let by = world.corrupt_ids()[signer];
    let (session, victim) = (world.session().id(), world.victim());
    let survivors = certificate.survivors.digest();
    let sum = world.sign(Sum { session, survivors, root: [9; 32] }, &by);
    let published = Published { sum, certificate, mask_set, opening: None };
    // its author would have to show the secrets; whoever passes it on need not
    let passed_on = world.corrupt_ids()[1 - signer];
    world.hear(&victim, Input::Message(passed_on, Box::new(Message::Published(Box::new(published)))));
}

fn aggregator(world: &World) -> usize {
    world.corrupt_ids().iter().position(|id| *id == world.aggregator()).unwrap()
}

/// With all checks the sum is refused for this reason; without this one an honest member takes it.
#[track_caller]
fn accepted_without(check: Check, attack: impl Fn() -> World, refusal: impl Fn(&FaultKind) -> bool) {
    let world = attack();
    assert!(world.accepted.is_empty(), "it is taken with all checks in place");
    assert!(world.refused.iter().any(refusal), "refused is {:?}", world.refused);
    let _out = Removed::new(&[check]);
    let world = attack();
    let [published] = &world.accepted[..] else { panic!("it is not taken: {:?}", world.refused) };
    assert_eq!(published.sum.body.root, [9; 32]);
}

/// Nobody has voted for anything: the aggregator may have summed whatever it likes, or nothing.
#[test]
fn without_a_certificate_any_sum_is_a_result() {
    let attack = || {
        let mut world = World::new(8).shared().masked();
        let survivors = SurvivorSet::of(&world.statements_of(&world.honest_ids()));
        let certificate =
            Certificate { session: world.session().id(), slot: 0, survivors, votes: Vec::new() };
        let signer = aggregator(&world);
        announce(&mut world, signer, certificate);
        world
    };
    let votes = |kind: &FaultKind| *kind == FaultKind::Votes { valid: 0, needed: 6 };
    accepted_without(Check::ResultCertificate, attack, votes);
}

/// A member that has seen the certificate puts a sum of its own under it.
#[test]
fn by_anybody_a_false_sum_goes_with_a_true_certificate() {
    let attack = || {
        let mut world = World::new(8).shared().masked();
        let everybody: Vec<_> = world.statements.keys().copied().collect();
        let set = world.propose(0, &world.statements_of(&everybody));
        let certificate = Certificate {
            session: world.session().id(),
            slot: 0,
            votes: world.votes(0, &set),
            survivors: set,
        };
        let signer = 1 - aggregator(&world);
        announce(&mut world, signer, certificate);
        world
    };
    accepted_without(Check::ResultAuthor, attack, |kind| matches!(kind, FaultKind::Author { .. }));
}

/// The vectors were masked for one mask set, and the result names another one: a sum in which masks are left looks
/// right to whoever adds up with those of the other.
#[test]
fn with_another_mask_set_a_false_sum_passes_the_audit() {
    let attack = || {
        let mut world = World::new(8).shared().masked();
        let signer = aggregator(&world);
        let author = world.corrupt_ids()[signer];
        let others: Vec<_> = world.statements.keys().copied().filter(|id| *id != author).collect();
        let set = world.propose(0, &world.statements_of(&others));
        let votes = world.votes(0, &set).into_iter().filter(|(id, _)| *id != author).collect();
        let session = world.session().id();
        let certificate = Certificate { session, slot: 0, votes, survivors: set };
        let mut dealers = world.dealers();
        dealers.retain(|(id, _)| *id != author);
        let other = world.sign(MaskSet { session, dealers }, &author);
        announce_with(&mut world, signer, certificate, other);
        world
    };
    accepted_without(Check::CertifiedMaskSet, attack, |kind| *kind == FaultKind::MaskSet);
}
