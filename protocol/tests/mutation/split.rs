//! Three sets that are shown to three groups, each large enough by itself: together they give away the keys of
//! all honest members that are missing in two of them, and leave the sum of the few that are in all.

use std::collections::BTreeSet;

use consort_protocol::ids::MemberId;

use crate::world::World;

/// In which two of the three sets they are missing, one after the other.
const MISSING: [[usize; 2]; 3] = [[0, 1], [0, 2], [1, 2]];

pub(crate) struct Split {
    /// Survivors of each set.
    pub(crate) sets: [Vec<MemberId>; 3],
    /// To whom each is shown.
    pub(crate) groups: [Vec<MemberId>; 3],
    /// The few.
    pub(crate) left: BTreeSet<MemberId>,
}

impl Split {
    /// Of 7 members, 2 of them corrupt, 2 are left where 3 are promised; of 10 and 3, 3 of 4; of 13 and 4, 4 of 5.
    pub(crate) fn of(world: &World) -> Self {
        let honest = world.honest_ids();
        let given_away = honest.len().div_ceil(2);
        let (gone, left) = honest.split_at(given_away);
        let everybody: BTreeSet<MemberId> = honest.iter().copied().chain(world.corrupt_ids()).collect();
        let set = |which: usize| {
            let missing = |id: &MemberId| {
                let in_turn = gone.iter().zip(MISSING.iter().cycle());
                in_turn.into_iter().any(|(gone, sets)| gone == id && sets.contains(&which))
            };
            everybody.iter().filter(|id| !missing(id)).copied().collect()
        };
        let group = |which| honest.iter().skip(which).step_by(3).copied().collect();
        Self { sets: [0, 1, 2].map(set), groups: [0, 1, 2].map(group), left: left.iter().copied().collect() }
    }
}

/// The honest members that are in all three sets.
pub(crate) fn left(world: &World) -> BTreeSet<MemberId> {
    Split::of(world).left
}
