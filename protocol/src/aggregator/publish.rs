//! `publish`: the result goes to everybody; acknowledgements come back.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    fault::FaultKind,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        publish::{Acknowledgement, Published},
    },
    phase::Phase,
    report::Outcome,
    roster::Session,
    seat::{self, Outputs, Seat, send},
    signing::Signed,
};

use super::all_answered;

pub(super) struct Publish {
    pub(super) session: Arc<Session>,
    published: Published,
    acknowledged: BTreeSet<MemberId>,
    /// What has been said to all, for those who come back.
    pub(super) announced: Vec<Message>,
}

impl Publish {
    pub(super) fn begin(
        seat: &Seat,
        session: Arc<Session>,
        published: Published,
        mut announced: Vec<Message>,
        out: &mut Outputs,
    ) -> Self {
        out.push(Output::Phase(Phase::Publish));
        let everybody: Vec<MemberId> = seat::others(seat).chain([seat.me]).collect();
        let message = Message::Published(Box::new(published.clone()));
        for member in everybody {
            send(out, member, message.clone());
        }
        announced.push(message);
        Self { session, published, acknowledged: BTreeSet::new(), announced }
    }

    pub(super) fn acknowledge(
        &mut self,
        from: MemberId,
        acknowledgement: &Signed<Acknowledgement>,
    ) -> Result<(), FaultKind> {
        if acknowledgement.signer != from {
            return Err(FaultKind::Author { signer: acknowledgement.signer, expected: from });
        }
        let Acknowledgement { session, root } = acknowledgement.body;
        if session != self.session.id() || root != self.published.sum.body.root {
            return Err(FaultKind::Session);
        }
        if self.session.position(&from).is_none() {
            return Err(FaultKind::Stranger(from));
        }
        acknowledgement.verify().map_err(|_| FaultKind::Signature)?;
        self.acknowledged.insert(from);
        Ok(())
    }

    /// Ends the attempt once everybody who can has the result, or the phase has lasted long enough.
    pub(super) fn finish(self, seat: &Seat, late: bool, out: &mut Outputs) -> Option<Self> {
        let participants = self.session.participants().iter().map(|participant| &participant.id);
        if !late && !all_answered(seat, participants, |id| self.acknowledged.contains(id)) {
            return Some(self);
        }
        out.push(Output::Finished(Outcome::Completed {
            published: Box::new(self.published),
            threshold: self.session.threshold().get(),
        }));
        None
    }
}
