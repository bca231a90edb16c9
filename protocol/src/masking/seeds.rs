//! Seeds of masks: HKDF-SHA256 (RFC 5869) of a secret, bound to the session and to those who share it.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::ZeroizeOnDrop;

use crate::{
    ids::{MemberId, SessionId},
    sharing::{DhSecret, PublicMaskKey, SelfMaskSecret},
};

const SELF_INFO: &[u8] = b"consort/v1/self";
const PAIR_INFO: &[u8] = b"consort/v1/pair";

/// The ChaCha20 key of one mask. It erases itself on drop, does not print, and compares in constant time.
#[derive(ZeroizeOnDrop)]
pub struct MaskSeed(pub(super) [u8; 32]);

impl ConstantTimeEq for MaskSeed {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for MaskSeed {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for MaskSeed {}

/// Seed of the self mask: HKDF with the 32 canonical bytes of b as key material, the session id as salt
/// and `"consort/v1/self"` as info.
#[must_use]
pub fn self_mask_seed(secret: &SelfMaskSecret, session: &SessionId) -> MaskSeed {
    expand(secret.as_bytes(), session, &[SELF_INFO])
}

/// Seed of the mask that two members share: HKDF with their Diffie-Hellman value as key material, the
/// session id as salt and `"consort/v1/pair" ‖ lower id ‖ higher id ‖ lower's key ‖ higher's key` as info,
/// keys being compressed points. The same in whichever order the two are given.
#[must_use]
pub fn pairwise_mask_seed(
    shared: &DhSecret,
    session: &SessionId,
    one: (MemberId, &PublicMaskKey),
    other: (MemberId, &PublicMaskKey),
) -> MaskSeed {
    let (lower, higher) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    let (lower_key, higher_key) = (lower.1.to_bytes(), higher.1.to_bytes());
    expand(shared.as_bytes(), session, &[PAIR_INFO, &lower.0.0, &higher.0.0, &lower_key, &higher_key])
}

fn expand(key_material: &[u8; 32], session: &SessionId, info: &[&[u8]]) -> MaskSeed {
    let mut seed = MaskSeed([0; 32]);
    Hkdf::<Sha256>::new(Some(&session.0), key_material)
        .expand_multi_info(info, &mut seed.0)
        .expect("HKDF-SHA256 gives up to 8160 bytes, and 32 are asked for");
    seed
}
