//! What goes wrong without anybody lying: nodes that die, stop for a while, or are cut off.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::{ids::MemberId, io::Role, phase::Phase};

/// Something goes wrong as a phase starts on a node, before it has said anything in that phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// On whom the phase starts; `None` for whoever acts as aggregator then.
    pub on: Option<MemberId>,
    /// In which part; an aggregator where `on` is nobody in particular.
    pub role: Role,
    /// The phase.
    pub phase: Phase,
    /// What happens.
    pub what: What,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It dies for good.
    Kill,
    /// It dies, and is back after so long without the secrets of this round, in which it has no part any more.
    Restart(Duration),
    /// It stops for so long; its connections stay.
    Pause(Duration),
    /// These members cannot reach the others for so long.
    Cut(BTreeSet<MemberId>, Duration),
}

/// A member dies as a phase starts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Who dies.
    pub member: MemberId,
    /// The phase.
    pub phase: Phase,
}

impl From<Kill> for Fault {
    fn from(kill: Kill) -> Self {
        Self { on: Some(kill.member), role: Role::Member, phase: kill.phase, what: What::Kill }
    }
}

impl Fault {
    /// Whoever acts as aggregator dies as this phase starts.
    #[must_use]
    pub const fn kill_aggregator(phase: Phase) -> Self {
        Self { on: None, role: Role::Aggregator, phase, what: What::Kill }
    }

    /// Whether it happens now.
    pub(super) fn strikes(&self, id: MemberId, role: Role, phase: Phase) -> bool {
        self.on.is_none_or(|on| on == id) && self.role == role && self.phase == phase
    }
}
