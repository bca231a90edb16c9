//! Dealers and revealers who try.

use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT, scalar::clamp_integer};
use rand_core::Rng as _;
use vsss_rs::{FeldmanVerifierSet as _, PrimeFieldShare, ValueGroup};
use x25519_dalek::{PublicKey, StaticSecret};

use super::{
    super::{
        MaskKey, PublicMaskKey, PublicPoint, RecoveredMaskKey, SelfMaskSecret, Share, SharingError,
        Threshold, deal, feldman::sealed::Secret as _,
    },
    commit, index, naive_value, raw_point, recover, rng,
};

const ORDER_8: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";

fn random_coefficients(seed: u64, threshold: usize) -> Vec<Scalar> {
    let mut rng = rng(seed);
    (0..threshold).map(|_| Scalar::random(&mut rng)).collect()
}

fn shares_of(coefficients: &[Scalar], members: u16) -> Vec<Share> {
    (1..=members).map(|i| Share(naive_value(coefficients, i))).collect()
}

/// The dealer shares s, advertises 2s·B, and commits under the generator 2B.
#[test]
fn a_dealer_who_shares_under_another_generator_is_caught() {
    let coefficients = random_coefficients(1, 3);
    let generator = ED25519_BASEPOINT_POINT + ED25519_BASEPOINT_POINT;
    let commitments = commit(generator, &coefficients);
    let advertised = PublicPoint::from_bytes(*commitments.constant().unwrap()).unwrap();
    let shares = shares_of(&coefficients, 5);

    // a verifier set that brings its generator along, as that of vsss-rs does, is taken in
    let points: Vec<_> = coefficients.iter().map(|c| ValueGroup(generator * c)).collect();
    let trusting: Vec<ValueGroup<EdwardsPoint>> =
        vsss_rs::FeldmanVerifierSet::<PrimeFieldShare<Scalar>, _>::with_generator_and_verifiers(
            ValueGroup(generator),
            &points,
        );
    let first: PrimeFieldShare<Scalar> = (Scalar::ONE, shares[0].0).into();
    assert!(trusting.verify_share(&first).is_ok());

    let verifier = commitments.verifier(Threshold::new(3, 5).unwrap(), &advertised).unwrap();
    for (position, share) in shares.iter().enumerate() {
        let index = index(position as u16 + 1);
        assert_eq!(verifier.verify(index, share), Err(SharingError::Share(index)));
    }
    let dealing = super::Dealing { commitments, shares };
    assert_eq!(recover(&dealing, &[1, 2, 3], &verifier).err(), Some(SharingError::WrongSecret));
}

#[test]
fn commitments_must_be_as_many_as_the_threshold_and_begin_with_the_advertised_point() {
    let mut rng = rng(2);
    let secret = SelfMaskSecret::generate(&mut rng);
    let threshold = Threshold::new(4, 6).unwrap();
    let dealing = deal(&secret, threshold, 6, &mut rng).unwrap();
    let advertised = secret.public_point();
    assert!(dealing.commitments.verifier(threshold, &advertised).is_ok());
    for wrong in [3, 5] {
        let threshold = Threshold::new(wrong, 6).unwrap();
        let error = SharingError::CommitmentCount { found: 4, expected: wrong };
        assert_eq!(dealing.commitments.verifier(threshold, &advertised).err(), Some(error));
    }
    let other = SelfMaskSecret::generate(&mut rng).public_point();
    assert_eq!(dealing.commitments.verifier(threshold, &other).err(), Some(SharingError::Constant));
    // -C₀ has the same Montgomery form, so a comparison of u-coordinates would let it pass
    let mut negative = advertised.to_bytes();
    negative[31] ^= 0x80;
    let negative = PublicPoint::from_bytes(negative).unwrap();
    assert_eq!(
        PublicMaskKey::try_from(negative).unwrap().to_montgomery(),
        PublicMaskKey::try_from(advertised).unwrap().to_montgomery()
    );
    assert_eq!(dealing.commitments.verifier(threshold, &negative).err(), Some(SharingError::Constant));
}

/// The digest covers every commitment and their order.
#[test]
fn commitments_to_anything_else_have_another_digest() {
    let mut commitments = commit(ED25519_BASEPOINT_POINT, &random_coefficients(3, 3));
    let digest = commitments.digest();
    commitments.0.swap(1, 2);
    assert_ne!(commitments.digest(), digest);
    commitments.0.swap(1, 2);
    assert_eq!(commitments.digest(), digest);
    commitments.0[2][0] ^= 1;
    assert_ne!(commitments.digest(), digest);
    commitments.0.pop();
    assert_ne!(commitments.digest(), digest);
}

/// A part of small order in commitments neither makes receivers disagree nor spoils the secret.
#[test]
fn torsion_in_commitments_changes_nothing() {
    let coefficients = random_coefficients(4, 4);
    let shares = shares_of(&coefficients, 7);
    let mut order_8 = raw_point(ORDER_8);
    assert!(
        order_8.is_small_order() && !(order_8 + order_8 + order_8 + order_8).eq(&EdwardsPoint::default())
    );
    let points: Vec<_> = coefficients
        .iter()
        .map(|coefficient| {
            order_8 += raw_point(ORDER_8);
            EdwardsPoint::mul_base(coefficient) + order_8
        })
        .collect();
    let commitments = super::Commitments::of(points.into_iter());
    let advertised = PublicPoint::from_bytes(*commitments.constant().unwrap()).unwrap();
    let verifier = commitments.verifier(Threshold::new(4, 7).unwrap(), &advertised).unwrap();
    let dealing = super::Dealing { commitments, shares };
    for i in 1..=7 {
        assert_eq!(verifier.verify(index(i), &dealing.shares[usize::from(i) - 1]), Ok(()));
    }
    for seed in 0..8 {
        let all: Vec<_> = (1..).map(index).zip(&dealing.shares).collect();
        assert!(verifier.batch_holds(&all, &mut rng(seed)));
    }
    let secret = recover(&dealing, &[7, 2, 4, 1], &verifier).unwrap();
    assert_eq!(secret.into_self_mask().as_bytes(), coefficients[0].as_bytes());
}

/// 200 keys: what is rebuilt agrees with the owner on every peer key, torsioned ones too; clamping the
/// reduced scalar again does not.
#[test]
fn recovered_keys_agree_with_their_owners_and_clamping_again_would_not() {
    let mut rng = rng(5);
    let torsion = raw_point(ORDER_8);
    let mut multiple = EdwardsPoint::default();
    let (mut clamped_again_differs, mut plain_differs) = (0, 0);
    for _ in 0..200 {
        let owner = MaskKey::generate(&mut rng);
        let s = owner.scalar();
        assert_eq!(PublicPoint::of(&EdwardsPoint::mul_base(&s)), owner.public().point());
        let recovered = RecoveredMaskKey::new(&s);

        let mut peer_bytes = [0; 32];
        rng.fill_bytes(&mut peer_bytes);
        let peer_point = EdwardsPoint::mul_base_clamped(peer_bytes) + multiple;
        multiple += torsion;
        let peer = PublicMaskKey::from_bytes(peer_point.compress().to_bytes()).unwrap();

        let owners = owner.diffie_hellman(&peer).unwrap();
        assert!(recovered.diffie_hellman(&peer).unwrap() == owners);
        let peers = MaskKey::from_bytes(peer_bytes).diffie_hellman(&owner.public()).unwrap();
        assert!(peers == owners);

        let u = PublicKey::from(peer.to_montgomery());
        let again = StaticSecret::from(s.to_bytes()).diffie_hellman(&u);
        clamped_again_differs += usize::from(again.as_bytes() != owners.as_bytes());
        let plain = curve25519_dalek::MontgomeryPoint(peer.to_montgomery()) * s;
        plain_differs += usize::from(plain.as_bytes() != owners.as_bytes());
        assert_ne!(clamp_integer(s.to_bytes()), s.to_bytes());
    }
    assert_eq!(clamped_again_differs, 200);
    assert!(plain_differs > 100, "peer keys with torsion tell s from the clamped integer: {plain_differs}");
}

/// u-coordinates of small order (RFC 7748 section 6.1, the all-zero check): decoding refuses such keys, and
/// should one get past it, no mask is made of it.
#[test]
fn a_peer_that_contributes_nothing_is_refused() {
    let mut rng = rng(9);
    let key = MaskKey::generate(&mut rng);
    let mut peer = MaskKey::generate(&mut rng).public();
    let recovered = RecoveredMaskKey::new(&key.scalar());
    let zero = "0000000000000000000000000000000000000000000000000000000000000000";
    let one = "0100000000000000000000000000000000000000000000000000000000000000";
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let minus_one = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    for u in [zero, one, order_8, minus_one] {
        peer.u = super::hex32(u);
        assert!(key.diffie_hellman(&peer).is_none(), "{u}");
        assert!(recovered.diffie_hellman(&peer).is_none(), "{u}");
    }
}

/// Compiles only while every secret erases itself.
#[test]
fn secrets_erase_themselves_on_drop() {
    fn erases<T: zeroize::ZeroizeOnDrop>() {}
    erases::<MaskKey>();
    erases::<SelfMaskSecret>();
    erases::<Share>();
    erases::<RecoveredMaskKey>();
    erases::<super::RecoveredSecret>();
    erases::<super::super::UncheckedSecret>();
    erases::<super::super::DhSecret>();
    erases::<crate::masking::MaskSeed>();
}

#[test]
fn fewer_shares_than_the_threshold_give_a_wrong_secret_that_is_refused() {
    let mut rng = rng(6);
    let key = MaskKey::generate(&mut rng);
    let threshold = Threshold::new(5, 7).unwrap();
    let dealing = deal(&key, threshold, 7, &mut rng).unwrap();
    let verifier = dealing.commitments.verifier(threshold, &key.public().point()).unwrap();
    assert!(recover(&dealing, &[7, 6, 5, 4, 3], &verifier).is_ok());
    assert_eq!(recover(&dealing, &[7, 6, 5, 4], &verifier).err(), Some(SharingError::WrongSecret));
}

#[test]
fn bad_shares_are_named_and_good_ones_are_not() {
    let mut rng = rng(7);
    let secret = SelfMaskSecret::generate(&mut rng);
    let threshold = Threshold::new(6, 9).unwrap();
    let mut dealing = deal(&secret, threshold, 9, &mut rng).unwrap();
    let verifier = dealing.commitments.verifier(threshold, &secret.public_point()).unwrap();
    // errors that cancel in an unweighted sum
    dealing.shares[2].0 += Scalar::ONE;
    dealing.shares[6].0 -= Scalar::ONE;
    let all: Vec<_> = (1..).map(index).zip(&dealing.shares).collect();
    assert_eq!(verifier.find_bad(&all, &mut rng), [index(3), index(7)]);
    assert_eq!(verifier.find_bad(&all[2..3], &mut rng), [index(3)]);
    assert!(verifier.find_bad(&all[3..6], &mut rng).is_empty());
    assert!(verifier.find_bad(&[], &mut rng).is_empty());
    assert_eq!(recover(&dealing, &[1, 2, 3, 4, 5, 6], &verifier).err(), Some(SharingError::WrongSecret));
    assert!(recover(&dealing, &[1, 2, 4, 5, 6, 8], &verifier).is_ok());
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (threshold, members) in
        [(0, 3), (1, 3), (4, 3), (2, 65_536), (70_000, 70_000), (usize::MAX, usize::MAX)]
    {
        assert_eq!(
            Threshold::new(threshold, members),
            Err(SharingError::Threshold { threshold, members }),
            "{threshold} of {members}"
        );
    }
    assert_eq!(Threshold::new(3, 3).unwrap().get(), 3);
    assert_eq!(super::ShareIndex::from_position(65_534).unwrap().get(), 65_535);
    for position in [65_535, usize::MAX] {
        assert_eq!(super::ShareIndex::from_position(position), Err(SharingError::Position(position)));
    }
    let zero = crate::codec::encode(&0u16).unwrap();
    assert!(crate::codec::decode::<super::ShareIndex>(&zero).is_err());

    let secret = SelfMaskSecret::generate(&mut rng(8));
    let too_few_members = deal(&secret, Threshold::new(5, 7).unwrap(), 4, &mut rng(8)).err();
    assert_eq!(too_few_members, Some(SharingError::Threshold { threshold: 5, members: 4 }));
    let too_many = deal(&secret, Threshold::new(2, 7).unwrap(), 65_536, &mut rng(8)).err();
    assert_eq!(too_many, Some(SharingError::Threshold { threshold: 2, members: 65_536 }));
    assert_eq!(super::Lagrange::new(&[]).err(), Some(SharingError::Indices));
    assert_eq!(super::Lagrange::new(&[index(2), index(1), index(2)]).err(), Some(SharingError::Indices));
    let one = Share(Scalar::ONE);
    let lagrange = super::Lagrange::new(&[index(1), index(2)]).unwrap();
    assert_eq!(lagrange.combine(&[&one]).err(), Some(SharingError::ShareCount { found: 1, expected: 2 }));
}
