//! The input that waits for a round.

use super::*;

impl Driver {
    pub(super) fn submit(&mut self, pending: Pending) {
        if self.state.pending.is_some() {
            let reason = "an input is waiting already; it has to be used first";
            let _ = pending.reply.send(Err(SubmitError::Failed(reason.into())));
            return;
        }
        self.state.pending = Some(pending);
        self.check_pending();
        self.doubt_pending();
        self.publish_status();
    }

    pub(super) fn withdraw(&mut self, reply: oneshot::Sender<bool>) {
        let free = self.state.running.as_ref().is_none_or(|running| !running.sent);
        if free && let Some(pending) = self.state.pending.take() {
            let _ = pending.reply.send(Err(SubmitError::Withdrawn));
            // what it has signed in this round binds it: a second set of keys would be evidence against it
            match self.state.running.take() {
                Some(running) => self.begin_round(running.round.number().saturating_add(1)),
                None => self.publish_status(),
            }
        }
        let _ = reply.send(free);
    }
}
