//! A node that tells one lie, so that the others can be tried with real processes. Test builds only.

use consort_protocol::sim::{Falsehood, Liar, Lie};

use super::*;

/// Changes what the driver says.
pub(crate) struct Lying(Liar);

impl Lying {
    pub(crate) fn new(lie: Lie, identity: Arc<Identity>, manifest: Arc<Manifest>, seed: u64) -> Self {
        Self(Liar::new(lie, identity, manifest, seed))
    }
}

impl Driver {
    /// Says something else, if this node lies.
    pub(super) fn lie_to(&mut self, to: MemberId, message: &Message) -> bool {
        let Some(Lying(liar)) = &mut self.lying else { return false };
        let said = liar.outgoing(to, message.clone());
        self.say_all(said);
        true
    }

    /// Says what comes to a liar's mind when it hears something; whether its node is not to hear of it.
    pub(super) fn lie_about(&mut self, from: MemberId, message: &Message) -> bool {
        let Some(Lying(liar)) = &mut self.lying else { return false };
        let (ignored, said) = (liar.ignores(message), liar.incoming(from, message));
        self.say_all(said);
        ignored
    }

    /// A liar knows what its own node knows.
    pub(super) fn spy(&mut self) {
        let spied = self.state.running.as_ref().and_then(|running| running.round.spied());
        if let (Some(Lying(liar)), Some(spied)) = (&mut self.lying, spied) {
            liar.spy(spied);
        }
    }

    /// What it does to a sum before it is published.
    pub(super) fn falsehood(&self) -> Option<Falsehood> {
        self.lying.as_ref().and_then(|Lying(liar)| liar.falsehood())
    }

    fn say_all(&mut self, said: Vec<(MemberId, Message)>) {
        let me = self.state.me;
        for (to, message) in said.into_iter().filter(|(to, _)| *to != me) {
            self.transmit(to, &message);
        }
    }
}
