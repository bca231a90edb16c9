//! `consistency-check`: votes come in; a threshold of them is the certificate.
//!
//! A vote counts when
//! 1. it comes from the member that signed it: of the mask set for survivors, of the roster to abandon;
//! 2. it is for this session, this slot and the proposed value.
//!
//! A member that says no by a rule of its own is not waited for.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    certificate::AcceptedMaskSet,
    fault::FaultKind,
    ids::MemberId,
    io::{JournalEntry, Output},
    messages::{
        Message,
        advertise_keys::Decline,
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::Abandonment,
        share_keys::DealtCommitments,
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat, send},
    signing::{Signature, Signed},
};

use super::{Progress, State, all_answered, unmasking::Unmasking, verifiers::Verifiers};

/// What is voted on.
enum Subject {
    Survivors { set: SurvivorSet, mask_set: Box<AcceptedMaskSet>, verifiers: Verifiers },
    Abandon { why: String },
}

pub(super) struct ConsistencyCheck {
    pub(super) session: Arc<Session>,
    subject: Subject,
    value: Value,
    voters: Vec<MemberId>,
    votes: BTreeMap<MemberId, Signature>,
    /// Who has said no, and why.
    declined: BTreeMap<MemberId, String>,
    /// What has been said to all, for those who come back.
    pub(super) announced: Vec<Message>,
}

impl ConsistencyCheck {
    /// Proposes survivors whose vectors are here, and with the standbys.
    pub(super) fn propose(
        seat: &Seat,
        session: Arc<Session>,
        mask_set: AcceptedMaskSet,
        verifiers: Verifiers,
        proposed: Proposed,
        announced: Vec<Message>,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let set = match &proposed {
            Proposed::Survivors { statements, .. } => SurvivorSet::of(statements),
            Proposed::Abandon => SurvivorSet::of(&[]),
        };
        let voters = mask_set.ids().collect();
        let subject = Subject::Survivors { set, mask_set: Box::new(mask_set), verifiers };
        Self::begin(seat, session, subject, voters, proposed, announced, out)
    }

    /// Proposes to end the attempt without a result.
    pub(super) fn abandon(
        seat: &Seat,
        session: Arc<Session>,
        why: &str,
        announced: Vec<Message>,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let voters = session.participants().iter().map(|participant| participant.id).collect();
        let subject = Subject::Abandon { why: why.into() };
        Self::begin(seat, session, subject, voters, Proposed::Abandon, announced, out)
    }

    fn begin(
        seat: &Seat,
        session: Arc<Session>,
        subject: Subject,
        voters: Vec<MemberId>,
        proposed: Proposed,
        mut announced: Vec<Message>,
        out: &mut Outputs,
    ) -> Result<Self, AbortReason> {
        let (id, slot, value) = (session.id(), seat.slot, proposed.value());
        let proposal = seat.sign(Proposal { session: id, slot, value: proposed })?;
        out.push(Output::Phase(Phase::ConsistencyCheck));
        out.push(Output::Journal(JournalEntry::Proposed(id, slot, value)));
        let message = Message::Proposal(Box::new(proposal));
        for member in &voters {
            send(out, *member, message.clone());
        }
        announced.push(message);
        Ok(Self {
            session,
            subject,
            value,
            voters,
            votes: BTreeMap::new(),
            declined: BTreeMap::new(),
            announced,
        })
    }

    pub(super) fn vote(&mut self, seat: &Seat, from: MemberId, vote: &Signed<Vote>) -> Result<(), FaultKind> {
        if vote.signer != from {
            return Err(FaultKind::Author { signer: vote.signer, expected: from });
        }
        // first: who has no vote here may have one in the attempt that it is still in
        let Vote { session, slot, value } = vote.body;
        if session != self.session.id() || slot != seat.slot || value != self.value {
            return Err(FaultKind::Session);
        }
        if !self.voters.contains(&from) {
            return Err(FaultKind::Stranger(from));
        }
        vote.verify().map_err(|_| FaultKind::Signature)?;
        self.votes.insert(from, vote.signature());
        Ok(())
    }

    pub(super) fn decline(
        &mut self,
        seat: &Seat,
        from: MemberId,
        decline: &Signed<Decline>,
        out: &mut Outputs,
    ) -> Result<(), FaultKind> {
        let reason = seat.check_decline(from, decline)?;
        if !self.votes.contains_key(&from) && !self.declined.contains_key(&from) {
            out.push(Output::Declined { who: from, phase: Phase::ConsistencyCheck, reason: reason.clone() });
            self.declined.insert(from, reason);
        }
        Ok(())
    }

    pub(super) fn commitments(&mut self, dealer: MemberId, commitments: &DealtCommitments) {
        if let Subject::Survivors { mask_set, verifiers, .. } = &mut self.subject
            && let Some(pinned) = mask_set.commitments_of(&dealer)
        {
            verifiers.add(&self.session, dealer, commitments, Some(pinned));
        }
    }

    pub(super) fn advance(self, seat: &Seat, late: bool, out: &mut Outputs) -> Progress<Self, State> {
        let (found, needed) = (self.votes.len(), self.session.threshold().get());
        if found < needed {
            let answered = |id: &MemberId| self.votes.contains_key(id) || self.declined.contains_key(id);
            let hopeless = all_answered(seat, self.voters.iter(), answered);
            return if late || hopeless {
                Progress::Impossible(self.without_enough(found, needed))
            } else {
                Progress::Waiting(self)
            };
        }
        let votes = self.votes.into_iter().collect();
        let Self { session, subject, mut announced, .. } = self;
        match subject {
            Subject::Survivors { set, mask_set, verifiers } => {
                let certificate =
                    Certificate { session: session.id(), slot: seat.slot, survivors: set, votes };
                out.push(Output::Phase(Phase::Unmasking));
                let message = Message::Certificate(Box::new(certificate.clone()));
                for member in mask_set.ids() {
                    send(out, member, message.clone());
                }
                announced.push(message);
                let next = Unmasking::begin(session, *mask_set, verifiers, certificate, announced);
                Progress::Next(State::Unmasking(next))
            }
            Subject::Abandon { why } => {
                let abandonment = Abandonment { session: session.proof(), slot: seat.slot, votes };
                let everybody: Vec<MemberId> = seat::others(seat).chain([seat.me]).collect();
                for member in everybody {
                    send(out, member, Message::Abandonment(Box::new(abandonment.clone())));
                }
                seat::abort(out, AbortReason::Abandoned { slot: seat.slot, why });
                Progress::Next(State::Closed)
            }
        }
    }

    fn without_enough(&self, found: usize, needed: usize) -> AbortReason {
        let phase = Phase::ConsistencyCheck;
        match self.declined.values().next() {
            None => seat::too_few(phase, found, needed),
            Some(first) => {
                let members = self.declined.len();
                let why = format!("{members} of {} members say no: {first}", self.voters.len());
                AbortReason::Refused { phase, why }
            }
        }
    }
}
