//! `consistency-check`: one vote in a slot, and the certificate back.
//!
//! A proposal is checked by [`check_proposal`](crate::certificate::check_proposal) and against what the
//! slot allows, a certificate by [`check_certificate`]; this file adds what only the member itself can see:
//! 1. if I am among the survivors, then with the root that I signed.

use crate::{
    certificate::{AcceptedMaskSet, check_certificate},
    fault::FaultKind,
    hash::Digest,
    io::{JournalEntry, Output},
    messages::{
        Message,
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
    },
    mutation::{Check, checked},
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{Outputs, Seat, send},
    signing::Signed,
};

use super::{ballot::Ballot, masked_input::Masked};

/// Checks a proposal of the slot's aggregator; nothing where there is nothing to vote on.
pub(super) fn check(
    seat: &Seat,
    ballot: &mut Ballot,
    mask_set: Option<&AcceptedMaskSet>,
    root: Option<&Digest>,
    proposal: &Signed<Proposal>,
) -> Result<Option<Value>, FaultKind> {
    if let Proposed::Survivors { statements, .. } = &proposal.body.value {
        let mine = statements.iter().find(|statement| statement.signer == seat.me);
        if mine.is_some_and(|mine| Some(&mine.body.root) != root) && checked(Check::OwnRoot) {
            return Err(FaultKind::Altered);
        }
    }
    ballot.check(mask_set, proposal)
}

/// Votes: on disk before it leaves.
pub(super) fn vote(
    seat: &Seat,
    session: &Session,
    ballot: &mut Ballot,
    proposal: &Signed<Proposal>,
    value: Value,
    out: &mut Outputs,
) -> Result<(), AbortReason> {
    let slot = proposal.body.slot;
    let vote = seat.sign(Vote { session: session.id(), slot, value })?;
    ballot.vote(proposal, value);
    out.push(Output::Phase(Phase::ConsistencyCheck));
    out.push(Output::Journal(JournalEntry::Voted(session.id(), slot, value)));
    send(out, seat.aggregator(), Message::Vote(Box::new(vote)));
    Ok(())
}

/// Checks a certificate of any slot: once there is one, it holds whatever slot has begun since.
pub(super) fn check_certified(
    seat: &Seat,
    session: &Session,
    masked: &Masked,
    certificate: &Certificate,
) -> Result<(), FaultKind> {
    check_certificate(session, &masked.mask_set, certificate)?;
    check_mine(seat, masked, &certificate.survivors)
}

fn check_mine(seat: &Seat, masked: &Masked, survivors: &SurvivorSet) -> Result<(), FaultKind> {
    let mine = survivors.root_of(&seat.me);
    let altered = mine.is_some() && mine != masked.root() && checked(Check::OwnRoot);
    if altered { Err(FaultKind::Altered) } else { Ok(()) }
}
