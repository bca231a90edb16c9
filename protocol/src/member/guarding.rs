//! Sets of a label's data that may be known: on disk before anything that may make them so.

use std::sync::Arc;

use crate::{
    ids::MemberId,
    io::{JournalEntry, Output},
    seat::Outputs,
};

use super::playing::Playing;

impl Playing {
    /// The sum over these members may be known from now on: with my vote, by a certificate, or as a result.
    pub(super) fn known(&mut self, survivors: impl Iterator<Item = MemberId>, out: &mut Outputs) {
        let Some(label) = self.session.terms().contract().task.label.clone() else { return };
        let members: Vec<MemberId> = survivors.collect();
        if Arc::make_mut(&mut self.guard).reveal(members.iter().copied()) {
            out.push(Output::Journal(JournalEntry::Cohort { label, members }));
        }
    }
}
