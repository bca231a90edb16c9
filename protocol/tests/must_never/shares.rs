//! A member takes no share that could not be checked later, and blames the dealer by name.

use consort_protocol::{
    codec,
    fault::FaultKind,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        share_keys::{DealtCommitments, DealtShares, SealedShares},
    },
    roster::Session,
    sharing::{Commitments, PublicPoint, Share},
    signing::Signed,
};
use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT};

use crate::{
    puppet::{Dealt, Puppet},
    world::{World, faults, ignored, random, refused, sent, stranger},
};

/// The roster is with the victim; nobody has dealt to it.
struct Setup {
    world: World,
    session: Session,
    dealer: MemberId,
}

fn setup() -> Setup {
    with_advertisement(|_, _| {})
}

fn with_advertisement(
    change: impl FnOnce(&World, &mut consort_protocol::messages::advertise_keys::Advertisement),
) -> Setup {
    let mut world = World::new(8, 2);
    let dealer = world.puppet_ids().into_iter().find(|id| *id != world.aggregator()).unwrap();
    let mut body = world.advertisements[&dealer].body.clone();
    change(&world, &mut body);
    let advertisement = world.sign(body, &dealer);
    world.advertisements.insert(dealer, advertisement);
    let roster = world.decree(world.roster_body());
    let session = Session::new(world.terms.clone(), &roster, &Default::default()).unwrap();
    assert_eq!(faults(&world.tell(Message::Roster(Box::new(roster)))), []);
    Setup { world, session, dealer }
}

impl Setup {
    fn puppet(&self) -> &Puppet {
        &self.world.puppets[&self.dealer]
    }

    fn dealt(&mut self) -> Dealt {
        self.world.puppets[&self.dealer].deal(&self.session, &mut self.world.rng)
    }

    fn part(&mut self) -> DealtShares {
        let (dealt, victim) = (self.dealt(), self.world.victim());
        self.puppet().part(&self.session, &dealt, &victim)
    }

    fn seal(&self, part: DealtShares) -> SealedShares {
        self.puppet().seal(&self.session, &self.world.victim(), part)
    }

    fn deliver(&mut self, sealed: SealedShares) -> Vec<Output> {
        let victim = self.world.victim();
        self.world.say(self.dealer, &victim, Message::Shares(Box::new(sealed)))
    }

    /// A bad share is refused, and a good one of the same dealer still counts.
    fn bad(mut self, sealed: SealedShares, kind: FaultKind) {
        let out = self.deliver(sealed);
        refused(&out, kind.clone());
        // what the dealer has signed and nobody honest signs is proved, too
        let proven = out.iter().filter_map(|output| match output {
            Output::Evidence(it) => Some(it.verify(&self.world.consortium.manifest).unwrap().culprit),
            _ => None,
        });
        let provable = matches!(kind, FaultKind::Share | FaultKind::Commitments);
        assert_eq!(proven.collect::<Vec<_>>(), if provable { vec![self.dealer] } else { Vec::new() });
        let part = self.part();
        let good = self.seal(part);
        ignored(&self.deliver(good.clone()));
        ignored(&self.deliver(good));
    }
}

fn plus_one(share: &Share) -> Share {
    let scalar = Scalar::from_canonical_bytes(share.to_bytes()).unwrap() + Scalar::ONE;
    Share::from_bytes(scalar.to_bytes()).unwrap()
}

fn points(commitments: &Commitments) -> Vec<[u8; 32]> {
    codec::decode(&codec::encode(commitments).unwrap()).unwrap()
}

fn commitments(points: &[[u8; 32]]) -> Commitments {
    codec::decode(&codec::encode(&points.to_vec()).unwrap()).unwrap()
}

#[test]
fn wrong_ones() {
    for which in 0..2 {
        let mut setup = setup();
        let mut part = setup.part();
        let share = if which == 0 { &mut part.mask_key } else { &mut part.self_mask };
        *share = plus_one(share);
        let sealed = setup.seal(part);
        setup.bad(sealed, FaultKind::Share);
    }
}

#[test]
fn the_shares_of_somebody_else() {
    let mut setup = setup();
    let dealt = setup.dealt();
    let victim = setup.world.victim();
    let other = setup.world.honest_ids()[1];
    let mut part = setup.puppet().part(&setup.session, &dealt, &other);
    let kind = FaultKind::Session;
    // addressed to another, in an envelope for the victim
    let sealed = setup.seal(part.clone());
    refused(&setup.deliver(sealed), kind);
    part.receiver = victim;
    let sealed = setup.seal(part);
    setup.bad(sealed, FaultKind::Share);
}

#[test]
fn two_different_dealings() {
    let mut setup = setup();
    let first = setup.part();
    let first = setup.seal(first);
    ignored(&setup.deliver(first));
    let second = setup.part();
    let second = setup.seal(second);
    refused(&setup.deliver(second), FaultKind::Equivocation);
}

#[test]
fn too_few_or_too_many_coefficients() {
    for add in [false, true] {
        for which in 0..2 {
            let mut setup = setup();
            let mut part = setup.part();
            let DealtCommitments { mask_key, self_mask } = &mut part.commitments;
            let changed = if which == 0 { mask_key } else { self_mask };
            let mut all = points(changed);
            if add {
                all.push(all[1]);
            } else {
                all.pop();
            }
            *changed = commitments(&all);
            let sealed = setup.seal(part);
            setup.bad(sealed, FaultKind::Commitments);
        }
    }
}

#[test]
fn of_another_secret_than_advertised() {
    for which in 0..2 {
        let mut setup = setup();
        let other = Puppet::new(setup.puppet().identity.clone(), &mut setup.world.rng);
        let foreign = other.deal(&setup.session, &mut random());
        let mut dealt = setup.dealt();
        if which == 0 {
            (dealt.mask_key, dealt.commitments.mask_key) = (foreign.mask_key, foreign.commitments.mask_key);
        } else {
            (dealt.self_mask, dealt.commitments.self_mask) =
                (foreign.self_mask, foreign.commitments.self_mask);
        }
        let victim = setup.world.victim();
        let part = setup.puppet().part(&setup.session, &dealt, &victim);
        let sealed = setup.seal(part);
        setup.bad(sealed, FaultKind::Commitments);
    }
}

#[test]
fn a_commitment_that_is_no_point() {
    let mut setup = setup();
    let mut part = setup.part();
    let mut all = points(&part.commitments.mask_key);
    all[1] = [0xff; 32];
    part.commitments.mask_key = commitments(&all);
    let sealed = setup.seal(part);
    setup.bad(sealed, FaultKind::Commitments);
}

/// A verifier that took its generator from the wire would find nothing wrong with these.
#[test]
fn under_another_generator() {
    let generator = ED25519_BASEPOINT_POINT + ED25519_BASEPOINT_POINT;
    let coefficients: Vec<Scalar> = (1..=6u64).map(|n| Scalar::from(n * 1_000_003)).collect();
    let committed: Vec<EdwardsPoint> = coefficients.iter().map(|c| c * generator).collect();
    let bytes: Vec<[u8; 32]> = committed.iter().map(|point| point.compress().to_bytes()).collect();
    let mut setup = with_advertisement(|_, body| body.self_mask = PublicPoint::from_bytes(bytes[0]).unwrap());
    assert_eq!(setup.session.threshold().get(), coefficients.len());
    let victim = setup.world.victim();
    let index = Scalar::from(setup.session.share_index(&victim).unwrap().get());
    let share = coefficients.iter().rev().fold(Scalar::ZERO, |sum, coefficient| sum * index + coefficient);
    let on_the_wire = committed.iter().rev().fold(EdwardsPoint::default(), |sum, c| sum * index + c);
    assert_eq!(share * generator, on_the_wire, "consistent under its own generator");
    let mut part = setup.part();
    part.commitments.self_mask = commitments(&bytes);
    part.self_mask = Share::from_bytes(share.to_bytes()).unwrap();
    let sealed = setup.seal(part);
    refused(&setup.deliver(sealed), FaultKind::Share);
}

#[test]
fn that_do_not_open() {
    let mut setup = setup();
    let part = setup.part();
    let mut sealed = setup.seal(part);
    sealed.ciphertext[40] ^= 1;
    setup.bad(sealed, FaultKind::Seal);
}

#[test]
fn an_envelope_with_something_else_inside() {
    let setup = setup();
    let victim = setup.world.victim();
    let sealed = setup.puppet().seal_bytes(&setup.session, &victim, b"\x01nothing of the kind");
    setup.bad(sealed, FaultKind::Seal);
}

#[test]
fn from_a_connection_that_is_not_the_dealers() {
    let mut setup = setup();
    let part = setup.part();
    let sealed = setup.seal(part);
    let (aggregator, victim) = (setup.world.aggregator(), setup.world.victim());
    let out = setup.world.say(aggregator, &victim, Message::Shares(Box::new(sealed)));
    refused(&out, FaultKind::Author { signer: setup.dealer, expected: aggregator });
}

#[test]
fn signed_by_somebody_else() {
    let mut setup = setup();
    let (aggregator, victim) = (setup.world.aggregator(), setup.world.victim());
    let part = setup.part();
    let signed = setup.world.sign(part, &aggregator);
    let plaintext = codec::encode(&signed).unwrap();
    let sealed = setup.puppet().seal_bytes(&setup.session, &victim, &plaintext);
    let kind = FaultKind::Author { signer: aggregator, expected: setup.dealer };
    setup.bad(sealed, kind);
}

#[test]
fn not_signed() {
    let mut setup = setup();
    let victim = setup.world.victim();
    let part = setup.part();
    let signature = setup.world.signature(setup.world.mask_set_like(), &setup.dealer);
    let plaintext = codec::encode(&Signed::from_parts(part, setup.dealer, signature)).unwrap();
    let sealed = setup.puppet().seal_bytes(&setup.session, &victim, &plaintext);
    setup.bad(sealed, FaultKind::Signature);
}

#[test]
fn of_another_session() {
    let mut setup = setup();
    let mut part = setup.part();
    part.session.0[0] ^= 1;
    let inner = setup.seal(part.clone());
    refused(&setup.deliver(inner), FaultKind::Session);
    part.session = setup.session.id();
    let mut outer = setup.seal(part);
    outer.session.0[0] ^= 1;
    setup.bad(outer, FaultKind::Session);
}

/// Before the roster is known, too, a dealer speaks for itself alone, and a stranger not at all.
#[test]
fn early_ones_of_somebody_else() {
    let mut setup = setup();
    let part = setup.part();
    let sealed = setup.seal(part);
    let mut world = World::new(8, 2);
    let (other, victim) = (world.honest_ids()[1], world.victim());
    let out = world.say(other, &victim, Message::Shares(Box::new(sealed.clone())));
    refused(&out, FaultKind::Author { signer: setup.dealer, expected: other });
    let id = stranger().id();
    let out = world.say(id, &victim, Message::Shares(Box::new(SealedShares { dealer: id, ..sealed })));
    refused(&out, FaultKind::Stranger(id));
}

/// Shares may overtake the roster. Late ones of an earlier attempt, which nobody can tell apart before the
/// roster is known, must not push them out.
#[test]
fn early_ones_are_kept_beside_those_of_earlier_sessions() {
    let Setup { world, session, dealer } = setup();
    let victim = world.victim();
    let dealt = world.puppets[&dealer].deal(&session, &mut random());
    let part = world.puppets[&dealer].part(&session, &dealt, &victim);
    let good = world.puppets[&dealer].seal(&session, &victim, part);
    let mut old = good.clone();
    old.session.0[0] ^= 1;

    for order in [[old.clone(), good.clone()], [good, old]] {
        let mut world = World::new(8, 2);
        for shares in order {
            ignored(&world.say(dealer, &victim, Message::Shares(Box::new(shares))));
        }
        let roster = world.decree(world.roster_body());
        let out = world.tell(Message::Roster(Box::new(roster)));
        assert_eq!(faults(&out), [], "late is not wrong");
        let out = world.at(world.terms.deadline(consort_protocol::phase::Phase::ShareKeys));
        let [(_, Message::Receipt(receipt, _))] = &sent(&out)[..] else { panic!("it reports what it has") };
        let confirmed: Vec<MemberId> = receipt.body.confirmed.iter().map(|(id, _)| *id).collect();
        assert!(confirmed.contains(&dealer), "an early share was lost");
    }
}
