//! What no run may show.

use crate::{
    evidence::Crime,
    fault::FaultKind,
    ids::{MemberId, SessionId},
};

/// A rule that was broken before the eyes of a global observer. Where it names somebody, that member is
/// honest: what corrupt ones do breaks no promise by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Violation {
    #[error("{by} votes twice in slot {slot} of {session:?}")]
    TwoVotes { by: MemberId, session: SessionId, slot: u32 },
    #[error("{by} votes in slot {slot} of {session:?}, but has promised not to")]
    VoteBelowPromise { by: MemberId, session: SessionId, slot: u32 },
    #[error("{by} votes for fewer survivors than the minimum, or for somebody who is not on the roster")]
    BadVote { by: MemberId },
    #[error("{by} reveals both shares of {of} in {session:?}")]
    BothShares { by: MemberId, session: SessionId, of: MemberId },
    #[error("{by} reveals shares in {session:?} for a set that cannot be certified")]
    Uncertified { by: MemberId, session: SessionId },
    #[error("{by} signs two vectors in {session:?}")]
    TwoRoots { by: MemberId, session: SessionId },
    #[error("{by} accepts two rosters in attempt {attempt}")]
    TwoRosters { by: MemberId, attempt: u32 },
    #[error("{by} advertises a key that was seen before")]
    ReusedKey { by: MemberId },
    #[error("{by} sends a masked input in attempt {attempt} while an earlier one may still be certified")]
    EarlyInput { by: MemberId, attempt: u32 },
    #[error("two values may be certified in {session:?}")]
    TwoCertified { session: SessionId },
    #[error("the input of {of} is in two sets that may be certified")]
    InputTwice { of: MemberId },
    #[error("{by} says {what} before it is on its disk")]
    BeforeJournal { by: MemberId, what: &'static str },
    #[error("{by} blames {who}, who is honest: {kind}")]
    Framed { by: MemberId, who: MemberId, kind: FaultKind },
    #[error("{by} convicts {who}, who is honest, of {crime}")]
    Convicted { by: MemberId, who: MemberId, crime: Crime },
    #[error("{by} shows evidence that proves nothing")]
    Unproven { by: MemberId },
    #[error("{by} stores a sum that is not the sum of its survivors' inputs")]
    WrongSum { by: MemberId },
    #[error("{by} ends with a result, but without the sum")]
    NoSum { by: MemberId },
    #[error("{by} never comes to an end")]
    Stuck { by: MemberId },
    #[error("time stands still: {}", culprit(.by.as_ref()))]
    Endless { by: Option<MemberId> },
    #[error(
        "the coalition can unmask {members} honest inputs of {session:?}, at least {needed} are promised"
    )]
    SmallSum { session: SessionId, members: usize, needed: usize },
    #[error("the coalition can unmask a set of {session:?} that was not certified")]
    UncertifiedSum { session: SessionId },
    #[error("the coalition can unmask a second sum, in {session:?}")]
    SecondSum { session: SessionId },
    #[error("the coalition has both secrets of {of} in {session:?}")]
    BothSecrets { session: SessionId, of: MemberId },
}

fn culprit(by: Option<&MemberId>) -> String {
    by.map_or_else(|| "the nodes talk without end".into(), |by| format!("{by} does nothing at its deadline"))
}
