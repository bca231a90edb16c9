//! Vectors of `tests/vectors/generate.py`, which shares no code with this crate.

use serde_json::Value;

use super::{
    super::{Commitments, Lagrange, MaskKey, PublicMaskKey, PublicPoint, Share, SharingError, Threshold},
    super::{RecoveredMaskKey, feldman::sealed::Secret as _},
    hex32, index, rng, scalar,
};
use crate::codec;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/sharing.json")).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn commitments(case: &Value) -> Commitments {
    Commitments(list(case, "commitments").iter().map(|point| hex32(point.as_str().unwrap())).collect())
}

#[test]
fn keys() {
    let vectors = vectors();
    for case in list(&vectors, "keys") {
        let key = MaskKey::from_bytes(hex32(text(case, "key")));
        let recovered = RecoveredMaskKey::new(&scalar(text(case, "secret")));
        assert_eq!(key.scalar(), scalar(text(case, "secret")));
        assert_eq!(key.public().to_bytes(), hex32(text(case, "point")));
        assert_eq!(key.public().to_montgomery(), hex32(text(case, "x25519")));
        assert_eq!(PublicMaskKey::from_bytes(hex32(text(case, "point"))), Ok(key.public()));
        for peer in list(case, "peers") {
            let public = PublicMaskKey::from_bytes(hex32(text(peer, "key"))).unwrap();
            let shared = hex32(text(peer, "shared"));
            assert_eq!(key.diffie_hellman(&public).unwrap().as_bytes(), &shared);
            assert_eq!(recovered.diffie_hellman(&public).unwrap().as_bytes(), &shared, "{peer}");
        }
    }
}

#[test]
fn shares_verify_and_reconstruct() {
    let vectors = vectors();
    for case in list(&vectors, "good") {
        let members = case["members"].as_u64().unwrap() as usize;
        let threshold = Threshold::new(case["threshold"].as_u64().unwrap() as usize, members).unwrap();
        let commitments = commitments(case);
        let advertised = PublicPoint::from_bytes(*commitments.constant().unwrap()).unwrap();
        let verifier = commitments.verifier(threshold, &advertised).unwrap();
        let shares: Vec<Share> = list(case, "shares")
            .iter()
            .map(|share| Share::from_bytes(hex32(share.as_str().unwrap())).unwrap())
            .collect();
        for (position, share) in shares.iter().enumerate() {
            let right = index(position as u16 + 1);
            assert_eq!(verifier.verify(right, share), Ok(()), "{} {right:?}", case["name"]);
            let wrong = index((position as u16 + 1) % members as u16 + 1);
            assert_eq!(verifier.verify(wrong, share), Err(SharingError::Share(wrong)), "{}", case["name"]);
        }
        let all: Vec<_> = shares.iter().enumerate().map(|(i, share)| (index(i as u16 + 1), share)).collect();
        assert!(verifier.find_bad(&all, &mut rng(1)).is_empty());

        let numbers = |value: &Value| -> Vec<u16> {
            value.as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as u16).collect()
        };
        let combine = |indices: &[u16]| {
            let chosen: Vec<_> = indices.iter().map(|&i| &shares[usize::from(i) - 1]).collect();
            let indices: Vec<_> = indices.iter().map(|&i| index(i)).collect();
            Lagrange::new(&indices).unwrap().combine(&chosen).unwrap()
        };
        for subset in list(case, "subsets") {
            let secret = combine(&numbers(subset)).check(&verifier).unwrap().into_self_mask();
            assert_eq!(secret.as_bytes(), &hex32(text(case, "secret")));
        }
        let too_few = combine(&numbers(&case["too_few"]["indices"]));
        assert_eq!(too_few.0, scalar(text(&case["too_few"], "wrong")));
        assert_eq!(too_few.check(&verifier).err(), Some(SharingError::WrongSecret));
    }
}

#[test]
fn scalars_that_are_not_canonical_are_refused_when_decoded() {
    let vectors = vectors();
    for (name, bytes) in vectors["bad_scalars"].as_object().unwrap() {
        let bytes = hex32(bytes.as_str().unwrap());
        assert_eq!(Share::from_bytes(bytes).err(), Some(SharingError::Scalar), "{name}");
        assert!(codec::decode::<Share>(&codec::encode(&bytes).unwrap()).is_err(), "{name}");
    }
    let good = hex32(text(&list(&vectors, "good")[0], "secret"));
    let share = codec::decode::<Share>(&codec::encode(&good).unwrap()).unwrap();
    assert_eq!(codec::encode(&share).unwrap()[1..], good);
}

#[test]
fn points_that_are_not_canonical_or_of_small_order_are_refused_when_decoded() {
    let vectors = vectors();
    let case = &list(&vectors, "good")[1];
    let threshold = Threshold::new(5, 8).unwrap();
    let good = commitments(case);
    let advertised = PublicPoint::from_bytes(*good.constant().unwrap()).unwrap();
    for (kind, error) in [("bad_points", SharingError::Point), ("bad_small_order", SharingError::SmallOrder)]
    {
        for (name, bytes) in vectors[kind].as_object().unwrap() {
            let bytes = hex32(bytes.as_str().unwrap());
            let message = codec::encode(&bytes).unwrap();
            assert_eq!(PublicPoint::from_bytes(bytes), Err(error.clone()), "{name}");
            assert_eq!(PublicMaskKey::from_bytes(bytes), Err(error.clone()), "{name}");
            assert!(codec::decode::<PublicPoint>(&message).is_err(), "{name}");
            assert!(codec::decode::<PublicMaskKey>(&message).is_err(), "{name}");
            if error == SharingError::Point {
                let mut bad = good.clone();
                bad.0[3] = bytes;
                assert_eq!(bad.verifier(threshold, &advertised).err(), Some(SharingError::Point), "{name}");
            }
        }
    }
    let key = codec::decode::<PublicMaskKey>(&codec::encode(&advertised).unwrap()).unwrap();
    assert_eq!(codec::encode(&key).unwrap()[1..], advertised.to_bytes());
}
