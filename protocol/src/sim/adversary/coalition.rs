//! A coalition: liars that share what they hear, and sign for each other.

use std::{collections::BTreeMap, sync::Arc};

use crate::{ids::MemberId, manifest::Manifest, messages::Message, signing::Identity};

use super::{
    super::{report::Envelope, spied::Spied},
    Falsehood, Liar, Lie,
};

/// All corrupt members of a simulation.
#[derive(Default)]
pub struct Adversary {
    liars: BTreeMap<MemberId, Liar>,
}

impl Adversary {
    /// A coalition in which each member tells a lie of its own.
    #[must_use]
    pub fn new(
        manifest: &Arc<Manifest>,
        members: impl IntoIterator<Item = (Arc<Identity>, Lie)>,
        seed: u64,
    ) -> Self {
        let members: Vec<_> = members.into_iter().collect();
        let identities: Vec<_> = members.iter().map(|(identity, _)| identity.clone()).collect();
        let liar = |(identity, lie): (Arc<Identity>, Lie)| {
            let liar = Liar::new(lie, identity.clone(), manifest.clone(), seed);
            (identity.id(), liar.conspiring(identities.iter().cloned()))
        };
        Self { liars: members.into_iter().map(liar).collect() }
    }

    /// Whether a member is corrupt.
    #[must_use]
    pub fn has(&self, id: &MemberId) -> bool {
        self.liars.contains_key(id)
    }

    /// The corrupt members.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.liars.keys().copied()
    }

    pub(in crate::sim) fn spy(&mut self, id: &MemberId, spied: Spied) {
        if let Some(liar) = self.liars.get_mut(id) {
            liar.spy(spied);
        }
    }

    /// What leaves in place of a message of a corrupt node.
    pub(in crate::sim) fn outgoing(&mut self, envelope: Envelope) -> Vec<Envelope> {
        let Envelope { from, to, message } = envelope;
        self.share(&from, &message);
        let Some(liar) = self.liars.get_mut(&from) else { return Vec::new() };
        posted(from, liar.outgoing(to, message))
    }

    /// What a corrupt node says when something reaches it, and whether its node hears of it.
    pub(in crate::sim) fn incoming(&mut self, envelope: &Envelope) -> (Vec<Envelope>, bool) {
        let Envelope { from, to, message } = envelope;
        self.share(to, message);
        let Some(liar) = self.liars.get_mut(to) else { return (Vec::new(), true) };
        let heard = !liar.ignores(message);
        (posted(*to, liar.incoming(*from, message)), heard)
    }

    pub(in crate::sim) fn falsehood(&self, id: &MemberId) -> Option<Falsehood> {
        self.liars.get(id).and_then(Liar::falsehood)
    }

    fn share(&mut self, except: &MemberId, message: &Message) {
        let others = self.liars.iter_mut().filter(|(id, _)| *id != except);
        others.for_each(|(_, liar)| liar.overhear(message));
    }
}

fn posted(from: MemberId, said: super::Said) -> Vec<Envelope> {
    said.into_iter().map(|(to, message)| Envelope { from, to, message }).collect()
}
