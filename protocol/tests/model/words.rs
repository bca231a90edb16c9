//! Small sets, and what may be voted for.

use core::fmt;

/// Most members of a roster in the model.
pub const MEMBERS: usize = 7;

/// A member that is honest and lives, whichever.
pub const SOMEBODY: usize = MEMBERS;

/// Most slots in the model.
pub const SLOTS: usize = 4;

/// A set of members, of slots or of values, by their numbers.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(pub u8);

impl Set {
    pub const EMPTY: Self = Self(0);

    pub fn first(count: usize) -> Self {
        (0..count).collect()
    }

    pub fn has(self, element: usize) -> bool {
        self.0 & (1 << element) != 0
    }

    pub fn with(self, element: usize) -> Self {
        Self(self.0 | (1 << element))
    }

    pub fn put(&mut self, element: usize, is_in: bool) {
        let one = Self::EMPTY.with(element);
        *self = if is_in { self.or(one) } else { self.without(one) };
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |element| self.has(*element))
    }

    /// Its subsets with so many elements.
    pub fn choose(self, count: usize) -> impl Iterator<Item = Self> {
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
pub enum Value {
    X1,
    X2,
    Abandon,
}

impl Value {
    pub const ALL: [Self; 3] = [Self::X1, Self::X2, Self::Abandon];
    pub const SURVIVORS: [Self; 2] = [Self::X1, Self::X2];

    pub fn at(self) -> usize {
        self as usize
    }
}

/// A member's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    pub slot: u8,
    pub value: Value,
}
