//! What member and aggregator of one attempt have in common.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    contract::Terms,
    fault::{FaultKind, PeerFault},
    hash::Digest,
    ids::MemberId,
    io::Output,
    messages::{Abort, Message},
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::{SeenKeys, Session},
    signing::{Identity, Signed, Statement},
};

/// Who plays, under which terms, and who else can be reached.
pub(crate) struct Seat {
    pub(crate) identity: Arc<Identity>,
    pub(crate) me: MemberId,
    pub(crate) terms: Arc<Terms>,
    /// The slot that this node is in; it only ever grows.
    pub(crate) slot: u32,
    pub(crate) seen: Arc<SeenKeys>,
    /// Members of the manifest that are not connected.
    pub(crate) absent: BTreeSet<MemberId>,
}

impl Seat {
    pub(crate) fn new(
        identity: Arc<Identity>,
        terms: Arc<Terms>,
        seen: Arc<SeenKeys>,
        absent: BTreeSet<MemberId>,
    ) -> Self {
        let (me, slot) = (identity.id(), terms.contract().slot);
        Self { identity, me, terms, slot, seen, absent }
    }

    /// Whose slot it is.
    pub(crate) fn aggregator(&self) -> MemberId {
        self.terms.holder(self.slot).unwrap_or_else(|| self.terms.aggregator())
    }

    /// Whether enough of a session can be reached for any vote, I included.
    pub(crate) fn has_quorum(&self, session: &Session) -> bool {
        let participants = session.participants().iter();
        let present = participants.filter(|participant| !self.absent.contains(&participant.id)).count();
        present >= session.threshold().get()
    }

    pub(crate) fn sign<T: Statement>(&self, body: T) -> Result<Signed<T>, AbortReason> {
        Signed::new(body, &self.identity).map_err(|error| AbortReason::Local {
            phase: Phase::AdvertiseKeys,
            detail: format!("{} cannot be signed: {error}", T::CONTEXT),
        })
    }

    pub(crate) fn fault(who: MemberId, phase: Phase, kind: FaultKind) -> Output {
        Output::Fault(PeerFault { who, phase, kind })
    }

    /// Whether an abort is the slot's aggregator's, for this attempt.
    pub(crate) fn check_abort(&self, abort: &Signed<Abort>) -> Result<(), FaultKind> {
        let expected = self.aggregator();
        if abort.signer != expected {
            return Err(FaultKind::Author { signer: abort.signer, expected });
        }
        if abort.body.contract != *self.terms.digest() || abort.body.slot != self.slot {
            return Err(FaultKind::Session);
        }
        abort.verify().map_err(|_| FaultKind::Signature)
    }
}

/// One statement of a kind from one author: the first counts, the same again is ignored, another is a fault.
pub(crate) fn repeated(first: &Digest, again: &Digest) -> Option<FaultKind> {
    (first != again).then_some(FaultKind::Equivocation)
}

/// The outputs of one step in order.
pub(crate) type Outputs = Vec<Output>;

/// Adds a control message to the outputs.
pub(crate) fn send(out: &mut Outputs, to: MemberId, message: Message) {
    out.push(Output::Send(to, Box::new(message)));
}

/// Ends the attempt without a result.
pub(crate) fn abort(out: &mut Outputs, reason: AbortReason) {
    out.push(Output::Finished(Outcome::Aborted(reason)));
}

/// Everybody in the manifest but me who is connected.
pub(crate) fn others(seat: &Seat) -> impl Iterator<Item = MemberId> + '_ {
    seat.terms
        .manifest()
        .members()
        .iter()
        .map(|member| member.id)
        .filter(|id| *id != seat.me && !seat.absent.contains(id))
}

/// Fewer members than a phase needs are left.
pub(crate) fn too_few(phase: Phase, found: usize, needed: usize) -> AbortReason {
    let [found, needed] = [found, needed].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    AbortReason::TooFewMembers { phase, found, needed }
}
