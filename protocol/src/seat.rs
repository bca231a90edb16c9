//! What member and aggregator of one attempt have in common.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    contract::Terms,
    fault::{FaultKind, PeerFault},
    guard::{Guard, Refusal},
    hash::Digest,
    ids::MemberId,
    io::Output,
    messages::{Abort, Message, advertise_keys::Decline},
    mutation::{Check, checked},
    phase::Phase,
    report::{AbortReason, Outcome, words_of_peer},
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
    /// Sets of earlier sums of this label's data.
    pub(crate) guard: Arc<Guard>,
    /// Members of the manifest that are not connected.
    pub(crate) absent: BTreeSet<MemberId>,
}

impl Seat {
    pub(crate) fn new(
        identity: Arc<Identity>,
        terms: Arc<Terms>,
        seen: Arc<SeenKeys>,
        guard: Arc<Guard>,
        absent: BTreeSet<MemberId>,
    ) -> Self {
        let (me, slot) = (identity.id(), terms.contract().slot);
        Self { identity, me, terms, slot, seen, guard, absent }
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

    /// What the guard has against a sum over these members. Only data under a label can be the same again.
    pub(crate) fn refuses(
        &self,
        guard: &Guard,
        survivors: impl IntoIterator<Item = MemberId>,
    ) -> Option<Refusal> {
        self.terms.contract().task.label.as_ref().filter(|_| checked(Check::DifferencingGuard))?;
        guard.check(survivors, self.terms.manifest().corrupt()).err()
    }

    /// Says no to the slot's aggregator, in words, and to nobody else.
    pub(crate) fn decline(&self, phase: Phase, why: &Refusal, out: &mut Outputs) -> Result<(), AbortReason> {
        let (contract, reason) = (*self.terms.digest(), why.to_string());
        out.push(Output::Declined { who: self.me, phase, reason: reason.clone() });
        let decline = self.sign(Decline { contract, reason })?;
        send(out, self.aggregator(), Message::Decline(Box::new(decline)));
        Ok(())
    }

    /// Checks that a member says no to this contract; gives its words, fit to be shown.
    pub(crate) fn check_decline(
        &self,
        from: MemberId,
        decline: &Signed<Decline>,
    ) -> Result<String, FaultKind> {
        if decline.signer != from {
            return Err(FaultKind::Author { signer: decline.signer, expected: from });
        }
        if decline.body.contract != *self.terms.digest() {
            return Err(FaultKind::Session);
        }
        if !self.terms.manifest().contains(&from) {
            return Err(FaultKind::Stranger(from));
        }
        decline.verify().map_err(|_| FaultKind::Signature)?;
        Ok(words_of_peer(&decline.body.reason))
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

/// No set of those that are there is one that the guard lets through.
pub(crate) fn refused(phase: Phase, refusal: &Refusal) -> AbortReason {
    AbortReason::Refused {
        phase,
        why: format!("no set of the members that are there may be summed: {refusal}"),
    }
}

/// Fewer members than a phase needs are left.
pub(crate) fn too_few(phase: Phase, found: usize, needed: usize) -> AbortReason {
    let [found, needed] = [found, needed].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    AbortReason::TooFewMembers { phase, found, needed }
}
