//! The first statement of each author at each place, so many and no more.
//!
//! Members' own statements are small and many; they are kept as they come, and a forged one makes room for a later
//! one, be it that both are compared, be it that its author has no room left. What aggregators sign is large and
//! rare, and is verified before it is kept: nobody fills this node's memory in another's name.

use std::collections::BTreeMap;

use crate::{
    evidence::{Evidence, Exclusive},
    ids::MemberId,
    signing::Signed,
};

/// Statements of one kind that are kept of one author: a round seldom has a third slot, and a contradiction is
/// proved as well at any other place.
pub(super) const PLACES: usize = 16;

/// Statements of one kind: the first of each author at each place.
pub(super) struct Firsts<K, T: Exclusive>(BTreeMap<MemberId, BTreeMap<K, First<T>>>);

struct First<T: Exclusive> {
    statement: Signed<T>,
    verified: bool,
}

impl<K, T: Exclusive> Default for Firsts<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// What a statement is to whoever keeps the first ones.
pub(super) enum Seen {
    /// There was none at its place.
    New,
    /// It is here already.
    Again,
    /// There is another one, and both may be evidence.
    Another(Option<Evidence>),
}

impl<K: Ord, T: Exclusive + PartialEq> Firsts<K, T> {
    /// Keeps the first statement at this place, and compares all others with it. Its author is a member.
    pub(super) fn see(
        &mut self,
        place: K,
        statement: &Signed<T>,
        proof: impl FnOnce(&Signed<T>, &Signed<T>) -> Option<Evidence>,
    ) -> Seen {
        let of_author = self.0.entry(statement.signer).or_default();
        let Some(first) = of_author.get_mut(&place) else {
            if of_author.len() >= PLACES {
                of_author.retain(|_, first| first.verifies());
            }
            if of_author.len() < PLACES {
                of_author.insert(place, First { statement: statement.clone(), verified: false });
            }
            return Seen::New;
        };
        if first.statement == *statement {
            return Seen::Again;
        }
        let proven = proof(&first.statement, statement);
        if proven.is_none() && !first.verifies() {
            *first = First { statement: statement.clone(), verified: false };
        }
        Seen::Another(proven)
    }

    /// The same for what aggregators sign: what does not verify is nothing.
    pub(super) fn see_verified(
        &mut self,
        place: K,
        statement: &Signed<T>,
        proof: impl FnOnce(&Signed<T>, &Signed<T>) -> Option<Evidence>,
    ) -> Seen {
        let known = self.0.get(&statement.signer).and_then(|of_author| of_author.get(&place));
        if known.is_none() && statement.verify().is_err() {
            return Seen::New;
        }
        self.see(place, statement, proof)
    }

    /// What is kept of one author, by ascending places.
    pub(super) fn of(&self, author: &MemberId) -> impl Iterator<Item = (&K, &Signed<T>)> {
        let of_author = self.0.get(author).into_iter().flatten();
        of_author.map(|(place, first)| (place, &first.statement))
    }
}

impl<T: Exclusive> First<T> {
    fn verifies(&mut self) -> bool {
        self.verified = self.verified || self.statement.verify().is_ok();
        self.verified
    }
}

impl Seen {
    pub(super) fn evidence(self) -> Option<Evidence> {
        match self {
            Self::New | Self::Again => None,
            Self::Another(evidence) => evidence,
        }
    }

    /// Whether it has been looked at before, so that what it contains has, too.
    pub(super) fn known(self, found: &mut Vec<Evidence>) -> bool {
        let known = matches!(self, Self::Again);
        found.extend(self.evidence());
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::SessionId,
        messages::consistency_check::{Value, Vote},
        signing::{Identity, Signature},
    };

    fn vote(slot: u32) -> Vote {
        Vote { session: SessionId([7; 32]), slot, value: Value::Abandon }
    }

    fn none(_: &Signed<Vote>, _: &Signed<Vote>) -> Option<Evidence> {
        None
    }

    fn kept(firsts: &Firsts<u32, Vote>, author: &MemberId) -> Vec<u32> {
        firsts.of(author).map(|(slot, _)| *slot).collect()
    }

    #[test]
    fn forged_statements_neither_fill_the_memory_nor_keep_a_real_one_out() {
        let author = Identity::from_secret(&[1; 32]);
        let mut firsts = Firsts::default();
        for slot in 0..1000 {
            let forged = Signed::from_parts(vote(slot), author.id(), Signature::from_bytes(&[3; 64]));
            firsts.see(slot, &forged, none);
            assert!(kept(&firsts, &author.id()).len() <= PLACES);
        }
        let real = Signed::new(vote(5000), &author).unwrap();
        for slot in 2000..3000 {
            firsts.see(5000, &real, none);
            let forged = Signed::from_parts(vote(slot), author.id(), Signature::from_bytes(&[3; 64]));
            firsts.see(slot, &forged, none);
        }
        assert!(kept(&firsts, &author.id()).contains(&5000));
        assert!(matches!(firsts.see(5000, &real, none), Seen::Again));
    }

    #[test]
    fn whoever_signs_at_every_place_is_remembered_at_some() {
        let author = Identity::from_secret(&[1; 32]);
        let mut firsts = Firsts::default();
        for slot in 0..100 {
            firsts.see(slot, &Signed::new(vote(slot), &author).unwrap(), none);
        }
        assert_eq!(kept(&firsts, &author.id()), (0..PLACES as u32).collect::<Vec<_>>());
    }

    #[test]
    fn what_aggregators_sign_is_kept_only_if_they_did() {
        let author = Identity::from_secret(&[1; 32]);
        let mut firsts = Firsts::default();
        let forged = Signed::from_parts(vote(0), author.id(), Signature::from_bytes(&[3; 64]));
        firsts.see_verified(0, &forged, none);
        assert!(kept(&firsts, &author.id()).is_empty());
        firsts.see_verified(0, &Signed::new(vote(0), &author).unwrap(), none);
        assert_eq!(kept(&firsts, &author.id()), [0]);
        assert!(matches!(firsts.see_verified(0, &forged, none), Seen::Another(None)));
        assert_eq!(kept(&firsts, &author.id()), [0]);
    }
}
