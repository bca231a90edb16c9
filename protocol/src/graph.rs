//! Who shares masks and secrets with whom.
//!
//! Everything else in the crate asks a [`Neighbourhood`] and never assumes that all are neighbours.

/// The mask graph over the positions of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbourhood {
    participants: usize,
}

impl Neighbourhood {
    /// The complete graph: everybody is everybody's neighbour.
    #[must_use]
    pub const fn complete(participants: usize) -> Self {
        Self { participants }
    }

    /// Whether two positions share a pairwise mask; nobody is its own neighbour.
    #[must_use]
    pub const fn adjacent(&self, left: usize, right: usize) -> bool {
        left != right && left < self.participants && right < self.participants
    }

    /// The neighbours of a position in ascending order.
    pub fn of(&self, position: usize) -> impl Iterator<Item = usize> + use<> {
        let graph = *self;
        (0..graph.participants).filter(move |&other| graph.adjacent(position, other))
    }
}
