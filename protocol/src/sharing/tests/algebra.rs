//! The algebra, against vsss-rs and against the definitions.

use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT};
use proptest::{prelude::*, sample::subsequence};
use vsss_rs::{FeldmanVerifierSet as _, PrimeFieldShare, ReadableShareSet as _, ValueGroup};

use super::{
    super::{
        Lagrange, MaskKey, PublicPoint, SelfMaskSecret, Share, Threshold, commitments::times_small, deal,
    },
    commit, index, naive_value, recover, rng,
};

type TheirShare = PrimeFieldShare<Scalar>;

/// λᵢ by the formula, with one inversion for each factor.
fn naive_coefficient(own: u16, all: &[u16]) -> Scalar {
    all.iter()
        .filter(|&&other| other != own)
        .map(|&other| Scalar::from(other) * (Scalar::from(other) - Scalar::from(own)).invert())
        .product()
}

/// (seed, t, n, a subset of t members in random order)
fn sharing() -> impl Strategy<Value = (u64, usize, usize, Vec<u16>)> {
    (any::<u64>(), 2usize..=9).prop_flat_map(|(seed, n)| (Just(seed), 2..=n, Just(n))).prop_flat_map(
        |(seed, t, n)| {
            let members: Vec<u16> = (1..=n as u16).collect();
            (Just(seed), Just(t), Just(n), subsequence(members, t).prop_shuffle())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_t_of_n_reconstruct_and_none_from_one_fewer((seed, t, n, subset) in sharing()) {
        let mut rng = rng(seed);
        let threshold = Threshold::new(t, n).unwrap();

        let key = MaskKey::generate(&mut rng);
        let dealing = deal(&key, threshold, n, &mut rng).unwrap();
        let verifier = dealing.commitments.verifier(threshold, &key.public().point()).unwrap();
        for (position, share) in dealing.shares.iter().enumerate() {
            prop_assert!(verifier.verify(index(position as u16 + 1), share).is_ok());
        }
        let peer = MaskKey::generate(&mut rng);
        let recovered = recover(&dealing, &subset, &verifier).unwrap().into_mask_key();
        prop_assert!(recovered.diffie_hellman(&peer.public()) == peer.diffie_hellman(&key.public()));
        prop_assert!(recover(&dealing, &subset[1..], &verifier).is_err());

        let secret = SelfMaskSecret::generate(&mut rng);
        let dealing = deal(&secret, threshold, n, &mut rng).unwrap();
        let verifier = dealing.commitments.verifier(threshold, &secret.public_point()).unwrap();
        let recovered = recover(&dealing, &subset, &verifier).unwrap().into_self_mask();
        prop_assert_eq!(recovered.as_bytes(), secret.as_bytes());
        prop_assert!(recover(&dealing, &subset[1..], &verifier).is_err());
    }

    /// What the holders of t − 1 shares see fits every secret: for any other one there is a polynomial
    /// through the same shares.
    #[test]
    fn one_fewer_fit_every_secret((seed, t, n, subset) in sharing()) {
        let mut rng = rng(seed);
        let dealing = deal(&SelfMaskSecret::generate(&mut rng), Threshold::new(t, n).unwrap(), n, &mut rng).unwrap();
        let other = Scalar::random(&mut rng);
        let known = &subset[1..];
        let missing = subset[0];
        // solve Σ λᵢ·shareᵢ = other for the one share that is not known
        let known_sum: Scalar = known
            .iter()
            .map(|&i| naive_coefficient(i, &subset) * dealing.shares[usize::from(i) - 1].0)
            .sum();
        let forged = Share((other - known_sum) * naive_coefficient(missing, &subset).invert());
        let indices: Vec<_> = subset.iter().map(|&i| index(i)).collect();
        let mut shares = vec![&forged];
        shares.extend(known.iter().map(|&i| &dealing.shares[usize::from(i) - 1]));
        prop_assert_eq!(Lagrange::new(&indices).unwrap().combine(&shares).unwrap().0, other);
    }

    #[test]
    fn verification_and_interpolation_agree_with_vsss_rs_and_the_definition((seed, t, n, subset) in sharing()) {
        let mut rng = rng(seed);
        let coefficients: Vec<_> = (0..t).map(|_| Scalar::random(&mut rng)).collect();
        let commitments = commit(ED25519_BASEPOINT_POINT, &coefficients);
        let advertised = PublicPoint::from_bytes(*commitments.constant().unwrap()).unwrap();
        let verifier = commitments.verifier(Threshold::new(t, n).unwrap(), &advertised).unwrap();
        let points: Vec<_> =
            coefficients.iter().map(|c| ValueGroup(ED25519_BASEPOINT_POINT * c)).collect();
        let theirs: Vec<ValueGroup<EdwardsPoint>> =
            vsss_rs::FeldmanVerifierSet::<TheirShare, _>::with_generator_and_verifiers(
                ValueGroup(ED25519_BASEPOINT_POINT),
                &points,
            );
        for number in (1..=n as u16).chain([255, 256, 65_535]) {
            let value = naive_value(&coefficients, number);
            for (value, good) in [(value, true), (value + Scalar::ONE, false), (-value, false)] {
                let their_share: TheirShare = (Scalar::from(number), value).into();
                prop_assert_eq!(theirs.verify_share(&their_share).is_ok(), good);
                prop_assert_eq!(verifier.verify(index(number), &Share(value)).is_ok(), good);
            }
        }

        let indices: Vec<_> = subset.iter().map(|&i| index(i)).collect();
        let shares: Vec<_> = subset.iter().map(|&i| Share(naive_value(&coefficients, i))).collect();
        let references: Vec<_> = shares.iter().collect();
        let lagrange = Lagrange::new(&indices).unwrap();
        for (coefficient, &number) in lagrange.coefficients.iter().zip(&subset) {
            prop_assert_eq!(*coefficient, naive_coefficient(number, &subset));
        }
        let ours = lagrange.combine(&references).unwrap();
        let their_shares: Vec<TheirShare> =
            subset.iter().zip(&shares).map(|(&i, share)| (Scalar::from(i), share.0).into()).collect();
        prop_assert_eq!(ours.0, their_shares.combine().unwrap().0);
        prop_assert_eq!(ours.0, coefficients[0]);
    }

    #[test]
    fn a_small_multiple_is_the_multiple(factor in 1u16.., seed: u64) {
        let point = EdwardsPoint::mul_base(&Scalar::random(&mut rng(seed)));
        prop_assert_eq!(times_small(&point, factor), point * Scalar::from(factor));
    }
}
