//! What must hold of masks.

use chacha20::ChaCha20Rng;
use proptest::prelude::*;
use rand_core::SeedableRng as _;
use serde_json::Value;

use super::{MaskError, MaskSeed, Sign, apply, pairwise_mask_seed, self_mask_seed};
use crate::{
    ids::{MemberId, SessionId},
    sharing::{
        DhSecret, Lagrange, MaskKey, PublicMaskKey, SelfMaskSecret, Share, ShareIndex, Threshold, deal,
    },
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/masks.json")).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn bytes(value: &Value, key: &str) -> [u8; 32] {
    hex::decode(value[key].as_str().unwrap()).unwrap().try_into().unwrap()
}

fn expand(seed: [u8; 32], segment: u16, bits: u8, start: u64, len: usize) -> Vec<u64> {
    let mut acc = vec![0; len];
    apply(&MaskSeed(seed), Sign::Add, segment, bits, start, &mut acc).unwrap();
    acc
}

#[test]
fn self_seeds_match_the_vectors() {
    let vectors = vectors();
    for case in list(&vectors, "self") {
        let secret = SelfMaskSecret::from_canonical(bytes(case, "secret"));
        let seed = self_mask_seed(&secret, &SessionId(bytes(case, "session")));
        assert_eq!(seed.0, bytes(case, "seed"));
    }
}

#[test]
fn pairwise_seeds_match_the_vectors_from_both_sides() {
    let vectors = vectors();
    let mut lower_first = 0;
    for case in list(&vectors, "pair") {
        let session = SessionId(bytes(case, "session"));
        let side = |name: &str| {
            let key = PublicMaskKey::from_bytes(bytes(&case[name], "public")).unwrap();
            (MemberId(bytes(&case[name], "id")), key, MaskKey::from_bytes(bytes(&case[name], "key")))
        };
        let (one_id, one, one_secret) = side("one");
        let (other_id, other, other_secret) = side("other");
        lower_first += usize::from(one_id < other_id);
        for shared in [one_secret.diffie_hellman(&other), other_secret.diffie_hellman(&one)] {
            let shared: DhSecret = shared.unwrap();
            assert_eq!(shared.as_bytes(), &bytes(case, "shared"));
            let seed = pairwise_mask_seed(&shared, &session, (one_id, &one), (other_id, &other));
            assert_eq!(seed.0, bytes(case, "seed"));
            let seed = pairwise_mask_seed(&shared, &session, (other_id, &other), (one_id, &one));
            assert_eq!(seed.0, bytes(case, "seed"));
        }
    }
    assert!((1..4).contains(&lower_first), "vectors in both orders: {lower_first} of 4");
}

#[test]
fn expansion_matches_the_vectors() {
    let vectors = vectors();
    for case in list(&vectors, "expansion") {
        let words: Vec<u64> = list(case, "words")
            .iter()
            .map(|w| u64::from_str_radix(w.as_str().unwrap(), 16).unwrap())
            .collect();
        let (segment, bits) =
            (case["segment"].as_u64().unwrap() as u16, case["bits"].as_u64().unwrap() as u8);
        let start = case["start"].as_u64().unwrap();
        assert_eq!(expand(bytes(case, "seed"), segment, bits, start, words.len()), words, "from {start}");

        let original: Vec<u64> =
            (0..words.len() as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mut acc = original.clone();
        apply(&MaskSeed(bytes(case, "seed")), Sign::Subtract, segment, bits, start, &mut acc).unwrap();
        let expected: Vec<u64> = original.iter().zip(&words).map(|(a, w)| a.wrapping_sub(*w)).collect();
        assert_eq!(acc, expected, "from {start}");
    }
}

/// RFC 8439 appendix A.1, vectors 1 and 2, whose key and nonce are zero: the first two blocks of segment 0.
#[test]
fn the_keystream_is_that_of_rfc_8439() {
    let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                    da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
                    9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
                    29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
    let wide: Vec<u8> = expand([0; 32], 0, 64, 0, 16).iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(hex::encode(wide), expected);
    let narrow: Vec<u8> =
        expand([0; 32], 0, 32, 0, 32).iter().flat_map(|&word| (word as u32).to_le_bytes()).collect();
    assert_eq!(hex::encode(narrow), expected);
}

#[test]
fn ranges_beyond_the_block_counter_are_refused_and_change_nothing() {
    let vectors = vectors();
    for case in list(&vectors, "bad_ranges") {
        let bits = case["bits"].as_u64().unwrap() as u8;
        let start = case["start"].as_u64().unwrap();
        let mut acc = vec![7; case["length"].as_u64().unwrap() as usize];
        let error = apply(&MaskSeed([1; 32]), Sign::Add, 0, bits, start, &mut acc).unwrap_err();
        match bits {
            1..=64 => assert!(matches!(error, MaskError::TooLong { .. }), "{case}"),
            _ => assert_eq!(error, MaskError::Width(bits)),
        }
        assert!(acc.iter().all(|&word| word == 7), "{case}");
    }
    assert_eq!(apply(&MaskSeed([1; 32]), Sign::Add, 0, 32, 1 << 36, &mut []), Ok(()));
}

#[test]
fn seeds_depend_on_the_session_the_members_and_their_keys() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (a, b, c) =
        (MaskKey::generate(&mut rng), MaskKey::generate(&mut rng), MaskKey::generate(&mut rng).public());
    let shared = a.diffie_hellman(&b.public()).unwrap();
    let (a, b) = (a.public(), b.public());
    let (id_a, id_b, id_c) = (MemberId([1; 32]), MemberId([2; 32]), MemberId([3; 32]));
    let (session, other_session) = (SessionId([4; 32]), SessionId([5; 32]));
    let seeds = [
        pairwise_mask_seed(&shared, &session, (id_a, &a), (id_b, &b)),
        pairwise_mask_seed(&shared, &other_session, (id_a, &a), (id_b, &b)),
        pairwise_mask_seed(&shared, &session, (id_a, &a), (id_c, &b)),
        pairwise_mask_seed(&shared, &session, (id_a, &a), (id_b, &c)),
        pairwise_mask_seed(&shared, &session, (id_a, &b), (id_b, &a)),
    ];
    for (i, seed) in seeds.iter().enumerate() {
        assert!(seeds[..i].iter().all(|earlier| earlier != seed), "{i}");
    }
}

/// (length, start, bits)
fn slice() -> impl Strategy<Value = (usize, u64, u8)> {
    (1usize..300, prop_oneof![0u64..200, (1u64 << 33)..(1 << 33) + 200], 1u8..=64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_slice_can_be_expanded_alone((len, start, bits) in slice(), seed: [u8; 32], segment: u16, cut in 0usize..300) {
        let whole = expand(seed, segment, bits, start, len);
        let cut = cut.min(len);
        prop_assert_eq!(&whole[..cut], expand(seed, segment, bits, start, cut));
        prop_assert_eq!(&whole[cut..], expand(seed, segment, bits, start + cut as u64, len - cut));
        if len > 16 {
            prop_assert_ne!(whole, expand(seed, segment ^ 1, bits, start, len));
        }
    }
}

/// One member of a simulated session, with what it dealt.
struct Dealer {
    id: MemberId,
    key: MaskKey,
    public: PublicMaskKey,
    secret: SelfMaskSecret,
    key_shares: crate::sharing::Dealing,
    secret_shares: crate::sharing::Dealing,
}

fn dealers(n: usize, threshold: Threshold, rng: &mut ChaCha20Rng) -> Vec<Dealer> {
    (0..n)
        .map(|_| {
            let mut id = [0; 32];
            rand_core::Rng::fill_bytes(rng, &mut id);
            let (key, secret) = (MaskKey::generate(rng), SelfMaskSecret::generate(rng));
            Dealer {
                id: MemberId(id),
                public: key.public(),
                key_shares: deal(&key, threshold, n, rng).unwrap(),
                secret_shares: deal(&secret, threshold, n, rng).unwrap(),
                key,
                secret,
            }
        })
        .collect()
}

/// n members, the threshold, who is linked to whom, who survives, ring width, first element, seed.
fn sessions() -> impl Strategy<Value = (usize, usize, Vec<bool>, Vec<bool>, u8, u64, u64)> {
    (3usize..=7).prop_flat_map(|n| {
        let links = proptest::collection::vec(any::<bool>(), n * n);
        let alive = proptest::collection::vec(any::<bool>(), n);
        (Just(n), 2..=n, links, alive, 1u8..=64, 0u64..100, any::<u64>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// On any graph, for any survivors and any ring, the sum of masked vectors less the masks rebuilt
    /// from shares is the sum of the survivors' vectors.
    #[test]
    fn masks_cancel((n, t, links, mut alive, bits, start, seed) in sessions()) {
        const LEN: usize = 40;
        const SEGMENT: u16 = 3;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        // at least a threshold of members remain to reveal
        for i in 0..n {
            if alive.iter().filter(|&&alive| alive).count() < t {
                alive[i] = true;
            }
        }
        let mask = u64::MAX >> (64 - u32::from(bits));
        let linked = |i: usize, j: usize| links[i.min(j) * n + i.max(j)];
        let session = SessionId([9; 32]);
        let threshold = Threshold::new(t, n).unwrap();
        let members = dealers(n, threshold, &mut rng);
        let pair_seed = |i: usize, j: usize, shared: &DhSecret| {
            let (i, j) = (&members[i], &members[j]);
            pairwise_mask_seed(shared, &session, (i.id, &i.public), (j.id, &j.public))
        };

        let mut sum = vec![0u64; LEN];
        let mut plain = vec![0u64; LEN];
        for (i, member) in members.iter().enumerate().filter(|(i, _)| alive[*i]) {
            let mut masked: Vec<u64> = (0..LEN as u64).map(|_| rand_core::Rng::next_u64(&mut rng) & mask).collect();
            plain.iter_mut().zip(&masked).for_each(|(sum, x)| *sum = sum.wrapping_add(*x));
            let input = masked.clone();
            let own = self_mask_seed(&member.secret, &session);
            apply(&own, Sign::Add, SEGMENT, bits, start, &mut masked).unwrap();
            for (j, peer) in members.iter().enumerate().filter(|(j, _)| *j != i && linked(i, *j)) {
                let shared = member.key.diffie_hellman(&peer.public).unwrap();
                let sign = Sign::for_pair(&member.id, &peer.id);
                apply(&pair_seed(i, j, &shared), sign, SEGMENT, bits, start, &mut masked).unwrap();
            }
            masked.iter_mut().for_each(|x| *x &= mask);
            if bits > 8 {
                prop_assert_ne!(&masked, &input);
            }
            sum.iter_mut().zip(&masked).for_each(|(sum, y)| *sum = sum.wrapping_add(*y));
        }

        let revealers: Vec<usize> = (0..n).filter(|&i| alive[i]).take(t).collect();
        let indices: Vec<_> = revealers.iter().map(|&i| ShareIndex::from_position(i).unwrap()).collect();
        let lagrange = Lagrange::new(&indices).unwrap();
        for (i, member) in members.iter().enumerate() {
            let (dealing, point) = if alive[i] {
                (&member.secret_shares, member.secret.public_point())
            } else {
                (&member.key_shares, member.public.point())
            };
            let verifier = dealing.commitments.verifier(threshold, &point).unwrap();
            let shares: Vec<&Share> = revealers.iter().map(|&r| &dealing.shares[r]).collect();
            let recovered = lagrange.combine(&shares).unwrap().check(&verifier).unwrap();
            if alive[i] {
                let seed = self_mask_seed(&recovered.into_self_mask(), &session);
                apply(&seed, Sign::Add.inverse(), SEGMENT, bits, start, &mut sum).unwrap();
            } else {
                let key = recovered.into_mask_key();
                for (j, peer) in members.iter().enumerate().filter(|(j, _)| alive[*j] && linked(i, *j)) {
                    let seed = pair_seed(i, j, &key.diffie_hellman(&peer.public).unwrap());
                    let sign = Sign::for_pair(&peer.id, &member.id).inverse();
                    apply(&seed, sign, SEGMENT, bits, start, &mut sum).unwrap();
                }
            }
        }
        for (sum, plain) in sum.iter().zip(&plain) {
            prop_assert_eq!(sum & mask, plain & mask);
        }
    }
}
