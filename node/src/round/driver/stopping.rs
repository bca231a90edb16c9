//! How a node stops: it begins nothing more, and leaves its round once the others lose nothing by it.

use super::*;

impl Driver {
    /// Begins no further round, and leaves one that does not need this node. Whoever waits is answered once
    /// none is left.
    pub(super) fn finish(&mut self, reply: oneshot::Sender<bool>) {
        self.state.finishing = true;
        let running = self.state.running.as_ref().map(|running| (running.round.number(), needs_me(running)));
        self.state.finished.push((reply, running.is_some_and(|(_, needed)| needed)));
        match running {
            Some((round, true)) => tracing::info!(round, "finishing this round before stopping"),
            Some((round, false)) => {
                tracing::info!(round, "leaving this round, in which nothing of the input has left");
                self.state.running = None;
            }
            None => {}
        }
        self.publish_status();
    }

    /// Answers whoever waits for it that nothing is left to do.
    pub(super) fn let_go(&mut self) {
        if self.state.running.is_none() {
            for (reply, finished) in self.state.finished.drain(..) {
                let _ = reply.send(finished);
            }
        }
    }
}

/// Whether the others would have to do without something they count on: a vector that is on its way, or the
/// aggregator of a roster.
fn needs_me(running: &Running) -> bool {
    let collects = running.round.phase(Role::Aggregator).is_some_and(|phase| phase > Phase::AdvertiseKeys);
    running.sent || collects
}
