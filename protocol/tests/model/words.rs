//! Small sets, and what may be voted for.

use core::fmt;

/// Most members of a roster in the model.
pub(crate) const MEMBERS: usize = 7;

/// A member that is honest and lives, whichever.
pub(crate) const SOMEBODY: usize = MEMBERS;

/// Most slots in the model.
pub(crate) const SLOTS: usize = 4;

/// A set of members, of slots or of values, by their numbers.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Set(pub u8);

impl Set {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn first(count: usize) -> Self {
        (0..count).collect()
    }

    pub(crate) fn has(self, element: usize) -> bool {
        self.0 & (1 << element) != 0
    }

    pub(crate) fn with(self, element: usize) -> Self {
        Self(self.0 | (1 << element))
    }

    pub(crate) fn put(&mut self, element: usize, is_in: bool) {
        let one = Self::EMPTY.with(element);
        *self = if is_in { self.or(one) } else { self.without(one) };
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |element| self.has(*element))
    }

    /// Its subsets with so many elements.
    pub(crate) fn choose(self, count: usize) -> impl Iterator<Item = Self> {
        (0..=self.0).map(Self).filter(move |subset| subset.within(self) && subset.len() == count)
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(elements: I) -> Self {
        elements.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What may be voted for: one of two survivor sets, or to abandon the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    X1,
    X2,
    Abandon,
}

impl Value {
    pub(crate) const ALL: [Self; 3] = [Self::X1, Self::X2, Self::Abandon];
    pub(crate) const SURVIVORS: [Self; 2] = [Self::X1, Self::X2];

    pub(crate) fn at(self) -> usize {
        self as usize
    }
}

/// A member's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Vote {
    pub(crate) slot: u8,
    pub(crate) value: Value,
}
