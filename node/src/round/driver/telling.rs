//! What a member says last, for when its home forgets: told by the others, and what follows from it.

use super::*;
use crate::ledger::{LedgerError, Records};
use consort_protocol::messages::reminder::Reminder;

const IN_DOUBT: &str = "the home of this node is older than what the node has said, so this input may have been summed \
                        before: see which rounds there were, and hand it in again if it was in none";

impl DriverState {
    /// What the ledger has of the others' words.
    pub(crate) fn recall(&mut self, records: &Records) -> Result<(), LedgerError> {
        let mut rounds = records.latest(RECENT)?;
        rounds.reverse();
        for record in rounds {
            if let (Some(contract), Some(roster)) = (record.contract, records.roster(record.round)?) {
                self.reminders.note(&contract, &roster.body);
            }
        }
        Ok(())
    }
}

impl Driver {
    /// Its home may be older than what it has said: before anything else it hears what that was.
    pub(super) fn remind(&mut self, peer: MemberId) {
        if let Some(reminder) = self.state.reminders.of(&peer) {
            self.send(peer, &Message::Reminder(Box::new(reminder)));
        }
    }

    /// Somebody shows what this node has said. Where its home does not remember that, it was restored from an old
    /// copy, or the key is in use elsewhere: it may have promised things that it does not know of, and the input that
    /// waits may have been summed. So it takes part only in later rounds, and gives the input back.
    pub(super) async fn reminded(&mut self, from: MemberId, reminder: &Reminder) {
        let Some(contract) = reminder.of(&self.state.me) else {
            if self.worth_a_warning() {
                tracing::warn!(%from, "reminder dropped: this node has not said that");
            }
            return;
        };
        if self.state.own_words.include(contract) {
            return;
        }
        let Contract { round, attempt, slot, .. } = *contract;
        tracing::error!(
            round, attempt, slot, told_by = %from,
            "ALARM: this node took part in a round that its home does not remember: the home was restored from an old \
             copy, or another process uses this identity. It takes part in later rounds only; stop it if another \
             process may have its key"
        );
        self.state.own_words.all_until(round);
        // the next start knows it without being told
        if let Err(error) = self.ledger.journal(&JournalEntry::Joined { round, attempt, slot }) {
            tracing::error!(%error, "what this node has said is not on disk");
        }
        self.state.restored = true;
        self.doubt_pending();
        if let Some(running) = self.state.running.take_if(|running| running.round.number() <= round) {
            self.abandon(running, IN_DOUBT).await;
        }
        if self.state.gathering.round <= round {
            self.begin_round(round.saturating_add(1));
        }
        self.observer.notify(NodeEvent::Restored { round }).await;
    }

    /// An input that was in the home of a node whose home is an old copy may have been summed since: only its owner knows.
    pub(super) fn doubt_pending(&mut self) {
        let in_doubt = |pending: &Pending| pending.kept.as_ref().is_some_and(Kept::was_found);
        if !self.state.restored || self.state.running.is_some() {
            return;
        }
        if let Some(pending) = self.state.pending.take_if(|pending| in_doubt(pending)) {
            let _ = pending.reply.send(Err(SubmitError::Failed(IN_DOUBT.into())));
        }
    }
}
