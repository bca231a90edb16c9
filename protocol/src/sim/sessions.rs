//! Sessions of a round, as anybody who sees contracts and rosters can tell them apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    contract::Terms,
    hash::Digest,
    ids::SessionId,
    manifest::Manifest,
    messages::{Message, advertise_keys::Roster},
    roster::{SeenKeys, Session},
    signing::{self, Signed},
};

/// All sessions whose rosters an honest member could accept.
pub(super) struct Sessions {
    manifest: Arc<Manifest>,
    terms: BTreeMap<Digest, Arc<Terms>>,
    known: BTreeMap<SessionId, Arc<Session>>,
    looked_at: BTreeSet<Digest>,
    latest: Option<SessionId>,
}

impl Sessions {
    pub(super) fn new(manifest: Arc<Manifest>) -> Self {
        let (terms, known, looked_at) = Default::default();
        Self { manifest, terms, known, looked_at, latest: None }
    }

    pub(super) fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Takes in what a message tells. Gives the session if it is a new one.
    pub(super) fn learn(&mut self, message: &Message) -> Option<Arc<Session>> {
        match message {
            Message::Contract(contract) => {
                let body = &contract.body;
                let digest = signing::body_digest(body).ok()?;
                if !self.terms.contains_key(&digest) {
                    let terms = Terms::accept(self.manifest.clone(), contract, &body.task).ok()?;
                    self.terms.insert(digest, Arc::new(terms));
                }
                None
            }
            Message::Roster(roster) => self.roster(roster),
            Message::Timeout(shown) => self.roster(&shown.session.roster),
            _ => None,
        }
    }

    fn roster(&mut self, roster: &Signed<Roster>) -> Option<Arc<Session>> {
        // the same words under a broken signature are nobody's roster
        if self.looked_at.contains(&roster.digest()) || roster.verify().is_err() {
            return None;
        }
        self.looked_at.insert(roster.digest());
        let terms = self.terms.get(&roster.body.contract)?.clone();
        let session = Arc::new(Session::new(terms, roster, &SeenKeys::default()).ok()?);
        self.known.insert(session.id(), session.clone());
        self.latest = Some(session.id());
        Some(session)
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<&Arc<Session>> {
        self.known.get(id)
    }

    /// The session whose roster was seen last.
    pub(super) fn latest(&self) -> Option<&Arc<Session>> {
        self.known.get(&self.latest?)
    }

    pub(super) fn terms(&self, contract: &Digest) -> Option<&Arc<Terms>> {
        self.terms.get(contract)
    }
}
