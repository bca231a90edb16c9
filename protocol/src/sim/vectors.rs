//! Vectors beside the state machines: masked, uploaded, passed on, summed, fetched.

use crate::{
    encoding::{Chunk, packing},
    evidence::{Disproof, ShownBlock},
    hash::Digest,
    ids::{MemberId, SessionId},
    io::{Input, JournalEntry, Role, Work},
    masking::MaskPlan,
    messages::{consistency_check::SurvivorSet, publish::Published},
    phase::Phase,
};

use super::{
    bulk::{Chunks, Vector, decode, digests_of, root_of},
    host::Host,
    network::Simulation,
    violation::Violation,
};

impl<H: Host> Simulation<'_, H> {
    fn session_of(&self, id: MemberId) -> Option<SessionId> {
        let round = self.nodes.get(&id)?.round.as_ref()?;
        Some(round.member()?.session()?.id())
    }

    pub(super) fn upload(&mut self, id: MemberId, plan: &MaskPlan, to: MemberId) {
        let Some(session) = self.session_of(id) else { return };
        let Some(input) = self.nodes.get(&id).and_then(|node| node.input.as_ref()) else { return };
        self.host.begin();
        let chunks = self.host.mask(input, plan, self.terms.layout());
        let root = root_of(self.terms.layout(), &chunks);
        self.host.end(id, Role::Member, Phase::MaskedInput);
        let vector = Vector { chunks: chunks.clone(), from_owner: true };
        self.keep(id, session, id, vector.clone());
        if !self.reaches(&id, &to) {
            return;
        }
        self.handle(id, Role::Member, Input::Done(Work::Uploaded(to, root)));
        self.host.begin();
        let received = root_of(self.terms.layout(), &chunks);
        self.host.end(to, Role::Aggregator, Phase::MaskedInput);
        self.oracle.vector(session, id, &chunks);
        self.report.vectors.insert(id, chunks.clone());
        self.keep(to, session, id, vector);
        self.handle(to, Role::Member, Input::Done(Work::Held(id, received)));
        self.handle(to, Role::Aggregator, Input::Done(Work::Received(id, received)));
    }

    fn keep(&mut self, at: MemberId, session: SessionId, member: MemberId, vector: Vector) {
        if let Some(node) = self.nodes.get_mut(&at) {
            node.store.keep_vector(session, member, vector);
        }
    }

    pub(super) fn receive(&mut self, id: MemberId, session: SessionId, members: &[MemberId]) {
        for member in members {
            let Some(node) = self.nodes.get(&id) else { return };
            let Some(vector) = node.store.vector(session, *member) else { continue };
            let root = root_of(self.terms.layout(), &vector.chunks);
            let work = match vector.from_owner {
                true => Work::Received(*member, root),
                false => Work::PassedOn(*member, root),
            };
            self.handle(id, Role::Aggregator, Input::Done(work));
        }
    }

    pub(super) fn pass_on(&mut self, id: MemberId, vector: MemberId, root: Digest, to: MemberId) {
        let Some(session) = self.session_of(id).filter(|_| self.reaches(&id, &to)) else { return };
        let stored = self.nodes.get(&id).and_then(|node| node.store.vector(session, vector)).cloned();
        let Some(stored) = stored.filter(|it| root_of(self.terms.layout(), &it.chunks) == root) else {
            return;
        };
        self.keep(to, session, vector, Vector { from_owner: false, ..stored });
        self.handle(to, Role::Member, Input::Done(Work::Held(vector, root)));
        self.handle(to, Role::Aggregator, Input::Done(Work::PassedOn(vector, root)));
    }

    pub(super) fn unmask(&mut self, id: MemberId, survivors: &SurvivorSet, plan: &MaskPlan) {
        let Some(session) = self.session_of(id).or_else(|| self.last_session(id)) else { return };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let stored = survivors.ids().map(|member| node.store.vector(session, member));
        let vectors = stored.map(|vector| vector.map(|it| it.chunks.as_slice()));
        let Some(vectors) = vectors.collect::<Option<Vec<_>>>() else {
            return;
        };
        self.host.begin();
        let mut chunks = self.host.sum(&vectors, plan, self.terms.layout());
        if let Some(falsify) = self.adversary.falsehood(&id)
            && let Some((chunk, packed)) = self.terms.layout().chunks().zip(&mut chunks).next()
        {
            falsify(&chunk, packed);
        }
        let root = root_of(self.terms.layout(), &chunks);
        self.host.end(id, Role::Aggregator, Phase::Unmasking);
        node.store.keep_sum(root, chunks);
        self.handle(id, Role::Aggregator, Input::Done(Work::Summed(root)));
        self.fetch();
    }

    /// The session that a node has journalled last: its member may be done with it before its aggregator is.
    fn last_session(&self, id: MemberId) -> Option<SessionId> {
        let journal = self.report.journals.get(&id)?;
        journal.iter().rev().find_map(|entry| match entry {
            JournalEntry::RosterAccepted { session, .. } => Some(*session),
            _ => None,
        })
    }

    /// Whoever fetches a sum gets it from anybody who can be reached and has it.
    pub(super) fn fetch(&mut self) {
        for id in self.ids() {
            let fetching = self.nodes.get(&id).map_or_else(Vec::new, |node| node.fetching.clone());
            for published in fetching {
                self.fetch_one(id, &published);
            }
        }
    }

    fn fetch_one(&mut self, id: MemberId, published: &Published) {
        let root = published.sum.body.root;
        let from = self.ids().into_iter().filter(|from| *from == id || self.reaches(&id, from));
        let found = from.filter_map(|from| self.nodes.get(&from)?.store.sum(&root).cloned()).next();
        let Some(chunks) = found else { return };
        self.host.begin();
        let aggregate = decode(&self.terms, &chunks, published.certificate.survivors.vectors.len());
        let as_announced = root_of(self.terms.layout(), &chunks) == root;
        self.host.end(id, Role::Member, Phase::Publish);
        if let Some(node) = self.nodes.get_mut(&id).filter(|node| as_announced && !node.fetching.is_empty()) {
            node.fetching.retain(|it| it.sum.body.root != root);
            node.store.keep_sum(root, chunks);
            let Some(aggregate) = aggregate else {
                let work = Work::Unreadable(root, "the sum is out of range".into());
                return self.handle(id, Role::Member, Input::Done(work));
            };
            node.store.keep_read(root, aggregate);
            let honest = self.monitor.is_honest(&id) && self.monitor.is_honest(&published.sum.signer);
            if honest && root != self.plain_sum(&published.certificate.survivors) {
                self.monitor.violation(Violation::WrongSum { by: id });
            }
            self.handle(id, Role::Member, Input::Done(Work::Stored(root)));
        }
    }

    /// A standby adds up what it holds.
    pub(super) fn audit(&mut self, id: MemberId, published: &Published, plan: &MaskPlan) {
        let (root, survivors) = (published.sum.body.root, &published.certificate.survivors);
        let (session, layout) = (published.sum.body.session, self.terms.layout());
        let Some(node) = self.nodes.get(&id) else { return };
        let stored = survivors.ids().map(|member| node.store.vector(session, member));
        let vectors = stored.map(|vector| vector.map(|it| it.chunks.as_slice()));
        let Some(vectors) = vectors.collect::<Option<Vec<_>>>() else {
            return;
        };
        let Some(sum) = node.store.sum(&root) else { return };
        self.host.begin();
        let computed = self.host.sum(&vectors, plan, layout);
        let show = |chunk: &Chunk, chunks: &[Vec<u8>], block| {
            let packed = chunks.get(chunk.index as usize)?;
            ShownBlock::of(digests_of(layout, chunks), chunk, packed, block)
        };
        let disproof =
            layout.chunks().zip(sum.iter().zip(&computed)).find_map(|(chunk, (sum_chunk, mine))| {
                Disproof::of_chunk(&chunk, sum_chunk, mine, |block| {
                    let vectors = vectors.iter().map(|chunks| show(&chunk, chunks, block));
                    Some((show(&chunk, sum, block)?, vectors.collect::<Option<_>>()?))
                })
            });
        self.host.end(id, Role::Member, Phase::Publish);
        let work = match disproof {
            Some(disproof) => Work::Disproved(root, Box::new(disproof)),
            None => Work::Audited(root),
        };
        self.handle(id, Role::Member, Input::Done(work));
    }

    /// Root of the sum of these members' inputs, without any masks.
    fn plain_sum(&self, survivors: &SurvivorSet) -> Digest {
        let add = |chunk: Chunk| {
            let mut sum = vec![0u64; chunk.len as usize];
            let mut words = sum.clone();
            for input in survivors.ids().filter_map(|id| self.nodes.get(&id)?.input.as_ref()) {
                input.encode(&chunk, &mut words);
                sum.iter_mut().zip(&words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
            }
            let mut packed = Vec::with_capacity(chunk.packed_len());
            packing::pack(&sum, chunk.bits, &mut packed);
            packed
        };
        root_of(self.terms.layout(), &self.terms.layout().chunks().map(add).collect::<Chunks>())
    }
}
