//! The secrets that lift the masks off a sum, shown with it so that whoever holds the vectors can add up himself.
//!
//! Of each survivor the self mask's secret, of each other member of the mask set the mask key: what the
//! aggregator has rebuilt from the shares that were revealed to it, against a certificate. They say no more to
//! anybody than they have said to the aggregator, who may be anybody. Who checks an opening compares each secret
//! with the point that its owner has advertised.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    certificate::AcceptedMaskSet,
    codec,
    fault::FaultKind,
    ids::MemberId,
    manifest::MAX_MEMBERS,
    masking::{MaskPlan, MaskSeed, Sign, pairwise_mask_seed, self_mask_seed},
    messages::consistency_check::SurvivorSet,
    roster::Session,
    sharing::{RecoveredMaskKey, RecoveredSecret, UncheckedSecret},
};

/// One secret of each dealer of a mask set, in the mask set's order. It is not printed, and is not written to any
/// disk: the members' inputs are hidden behind what it does not hold, but it is nobody's business later.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening(#[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")] Vec<UncheckedSecret>);

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({} secrets)", self.0.len())
    }
}

impl Opening {
    /// Shows these secrets, which are in the order of the mask set.
    pub(crate) fn of(secrets: &[(MemberId, RecoveredSecret)]) -> Self {
        Self(secrets.iter().map(|(_, secret)| secret.to_unchecked()).collect())
    }

    /// An opening with these secrets, right or wrong.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn made_up(secrets: Vec<UncheckedSecret>) -> Self {
        Self(secrets)
    }

    /// The secrets, each compared with the advertised point.
    ///
    /// # Errors
    /// [`FaultKind::Opening`] where a secret is missing, or is another than the advertised one.
    pub(crate) fn check(
        &self,
        session: &Session,
        mask_set: &AcceptedMaskSet,
        survivors: &SurvivorSet,
    ) -> Result<Vec<(MemberId, RecoveredSecret)>, FaultKind> {
        if self.0.len() != mask_set.dealers().len() {
            return Err(FaultKind::Opening);
        }
        let checked = mask_set.ids().zip(&self.0).map(|(dealer, secret)| {
            let participant = session.participant(&dealer).ok_or(FaultKind::Opening)?;
            let advertised = match survivors.contains(&dealer) {
                true => participant.self_mask,
                false => participant.mask_key.point(),
            };
            Ok((dealer, secret.check_point(&advertised).map_err(|_| FaultKind::Opening)?))
        });
        checked.collect()
    }

    /// What lifts the masks off the sum of these survivors.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn plan(
        &self,
        session: &Session,
        mask_set: &AcceptedMaskSet,
        survivors: &SurvivorSet,
    ) -> Result<MaskPlan, FaultKind> {
        Ok(lifting(session, survivors, self.check(session, mask_set, survivors)?))
    }
}

/// The masks that are left in the sum of the survivors' vectors, with the signs that take them off.
pub(crate) fn lifting(
    session: &Session,
    survivors: &SurvivorSet,
    secrets: Vec<(MemberId, RecoveredSecret)>,
) -> MaskPlan {
    let mut masks = Vec::new();
    for (dealer, secret) in secrets {
        if survivors.contains(&dealer) {
            let seed = self_mask_seed(&secret.into_self_mask(), &session.id());
            masks.push((Sign::Subtract, seed));
        } else {
            masks.extend(pairwise_masks(session, survivors, &dealer, &secret.into_mask_key()));
        }
    }
    MaskPlan::new(masks)
}

/// What the surviving neighbours of a lost member put on for its sake.
fn pairwise_masks<'a>(
    session: &'a Session,
    survivors: &'a SurvivorSet,
    lost: &'a MemberId,
    key: &'a RecoveredMaskKey,
) -> impl Iterator<Item = (Sign, MaskSeed)> + 'a {
    let position = session.position(lost);
    let lost_key = session.participant(lost).map(|participant| participant.mask_key);
    position.into_iter().flat_map(|position| session.graph().of(position)).filter_map(move |neighbour| {
        let neighbour = session.participants().get(neighbour)?;
        if !survivors.contains(&neighbour.id) {
            return None;
        }
        let shared = key.diffie_hellman(&neighbour.mask_key)?;
        let (one, other) = ((neighbour.id, &neighbour.mask_key), (*lost, lost_key.as_ref()?));
        let seed = pairwise_mask_seed(&shared, &session.id(), one, other);
        Some((Sign::for_pair(&neighbour.id, lost).inverse(), seed))
    })
}
