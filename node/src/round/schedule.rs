//! When a round starts, and whose turn it is: pure decisions from what is known of the others.
//!
//! A round starts as soon as every member has an input waiting (not counting those unreachable for
//! [`FORGET`]), or the policy's `gather` after the minimum have. What happens then, slot by slot, is up to
//! [`consort_protocol::round::Round`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use consort_protocol::{election, hash::Digest, ids::MemberId, io::Now, manifest::Manifest};

use super::status::Status;

#[cfg(test)]
mod behind;
#[cfg(test)]
mod tests;

/// A member unreachable for so long is not waited for.
const FORGET: Duration = Duration::from_secs(30);

/// What is known of the others.
pub(super) struct Peers {
    manifest: Arc<Manifest>,
    me: MemberId,
    connected: BTreeSet<MemberId>,
    /// When a member that is not connected was last seen; the node's start for one that never was.
    last_seen: BTreeMap<MemberId, Now>,
    statuses: BTreeMap<MemberId, Status>,
    /// Convicted by evidence: they count as members that are away for good.
    excluded: BTreeSet<MemberId>,
}

impl Peers {
    pub(super) fn new(manifest: Arc<Manifest>, me: MemberId, now: Now) -> Self {
        let others = manifest.members().iter().map(|member| member.id).filter(|id| *id != me);
        let last_seen = others.map(|id| (id, now)).collect();
        Self {
            manifest,
            me,
            connected: BTreeSet::new(),
            last_seen,
            statuses: BTreeMap::new(),
            excluded: BTreeSet::new(),
        }
    }

    /// Goes on under the manifest of another epoch. What is known of those who stay is kept.
    pub(super) fn renew(&mut self, manifest: Arc<Manifest>, now: Now) {
        self.connected.retain(|id| manifest.contains(id));
        self.statuses.retain(|id, _| manifest.contains(id));
        self.last_seen.retain(|id, _| manifest.contains(id));
        self.excluded.retain(|id| manifest.contains(id));
        let others = manifest.members().iter().map(|member| member.id);
        for id in others.filter(|id| *id != self.me && !self.connected.contains(id)) {
            self.last_seen.entry(id).or_insert(now);
        }
        self.manifest = manifest;
    }

    /// Connected members, with the epochs whose manifests they run with.
    pub(super) fn epochs(&self) -> impl Iterator<Item = (MemberId, u64)> + '_ {
        self.connected.iter().filter_map(|id| Some((*id, self.statuses.get(id)?.epoch)))
    }

    /// Leaves a member out from now on.
    pub(super) fn exclude(&mut self, id: MemberId, now: Now) {
        self.excluded.insert(id);
        self.connected.remove(&id);
        self.statuses.remove(&id);
        // who is not on the list any more is not away
        if id != self.me && self.manifest.contains(&id) {
            self.last_seen.entry(id).or_insert(now);
        }
    }

    pub(super) fn is_excluded(&self, id: &MemberId) -> bool {
        self.excluded.contains(id)
    }

    /// Members that are left out.
    pub(super) fn excluded(&self) -> &BTreeSet<MemberId> {
        &self.excluded
    }

    pub(super) fn all_connected(&self) -> Vec<MemberId> {
        self.connected.iter().copied().collect()
    }

    pub(super) fn connected(&mut self, id: MemberId) {
        if self.excluded.contains(&id) || !self.manifest.contains(&id) {
            return;
        }
        self.connected.insert(id);
        self.last_seen.remove(&id);
    }

    pub(super) fn disconnected(&mut self, id: MemberId, now: Now) {
        self.connected.remove(&id);
        if self.manifest.contains(&id) {
            self.last_seen.insert(id, now);
        }
    }

    pub(super) fn status(&mut self, id: MemberId, status: Status) {
        if self.excluded.contains(&id) || !self.manifest.contains(&id) {
            return;
        }
        self.statuses.insert(id, status);
    }

    pub(super) fn is_connected(&self, id: &MemberId) -> bool {
        self.connected.contains(id)
    }

    /// What a member said last of where it is.
    pub(super) fn status_of(&self, id: &MemberId) -> Option<&Status> {
        self.statuses.get(id)
    }

    /// Members that are neither connected nor me, and since when.
    pub(super) fn away(&self) -> &BTreeMap<MemberId, Now> {
        &self.last_seen
    }

    /// The latest round that at least one honest member says it is at: with c liars among those who
    /// speak, the (c+1)-th highest claim.
    pub(super) fn round(&self) -> Option<u64> {
        let mut claims: Vec<u64> = self.statuses.values().map(|status| status.round).collect();
        claims.sort_unstable_by(|left, right| right.cmp(left));
        claims.get(self.manifest.corrupt()).copied()
    }

    /// What those who are connected say which round they are at.
    fn rounds(&self) -> impl Iterator<Item = u64> + '_ {
        self.connected.iter().filter_map(|id| self.statuses.get(id)).map(|status| status.round)
    }

    /// How many, I included, wait with this task for this round.
    fn ready(&self, round: u64, task: &Digest) -> usize {
        self.ready_for(round, task).len()
    }

    /// Who, I included, waits with this task for this round and is connected.
    pub(super) fn ready_for(&self, round: u64, task: &Digest) -> BTreeSet<MemberId> {
        let others = self.connected.iter().copied().filter(|id| self.waits(id, round, task));
        others.chain([self.me]).collect()
    }

    /// Whether a member waits with this task for this round, under the same manifest. What it said before it was lost still counts
    /// when it is back: it says so if it has changed.
    pub(super) fn waits(&self, id: &MemberId, round: u64, task: &Digest) -> bool {
        let epoch = self.manifest.epoch();
        self.statuses.get(id).is_some_and(|status| {
            status.epoch == epoch && status.round == round && status.waiting.as_ref() == Some(task)
        })
    }

    /// From when on everybody who counts waits with this task; `None` while somebody connected does not.
    fn all_ready_at(&self, round: u64, task: &Digest) -> Option<Now> {
        let members = self.manifest.members().iter().map(|member| &member.id);
        let others = members.filter(|id| **id != self.me && !self.excluded.contains(id));
        let ready_at = |id| match self.last_seen.get(id) {
            Some(seen) => Some(*seen + FORGET),
            None => self.waits(id, round, task).then_some(Now::ZERO),
        };
        others.map(ready_at).try_fold(Now::ZERO, |latest, ready| Some(latest.max(ready?)))
    }
}

/// Waiting for one round to start.
pub(super) struct Gathering {
    pub(super) round: u64,
    order: Vec<MemberId>,
    /// Since when the minimum have an input.
    enough_since: Option<Now>,
    /// Since when somebody is ahead and hardly anybody behind.
    behind_since: Option<Now>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing before this time, unless something changes.
    Wait(Option<Now>),
    /// The round begins.
    Start,
    /// Too few are left in this round, and somebody is ahead: the next round begins.
    NextRound,
}

impl Gathering {
    pub(super) fn new(manifest: &Manifest, round: u64) -> Self {
        Self { round, order: election::order(manifest, round), enough_since: None, behind_since: None }
    }

    /// Whether the aggregators of all slots before `slot` are away.
    pub(super) fn may_begin_in(&self, slot: u32, peers: &Peers) -> bool {
        let mut skipped = self.order.iter().cycle().take(slot as usize);
        (slot as usize) < self.order.len() && skipped.all(|id| *id != peers.me && !peers.is_connected(id))
    }

    pub(super) fn decide(&mut self, peers: &Peers, task: &Digest, now: Now) -> Decision {
        let gather = Duration::from_millis(peers.manifest.policy().gather_ms);
        let needed = peers.manifest.min_participants();
        let give_up_at = self.give_up_at(peers, now);
        if peers.ready(self.round, task) < needed {
            self.enough_since = None;
            let give_up = give_up_at.is_some_and(|at| now >= at);
            return if give_up { Decision::NextRound } else { Decision::Wait(give_up_at) };
        }
        let enough_since = *self.enough_since.get_or_insert(now);
        let gathered = enough_since + gather;
        let start = peers.all_ready_at(self.round, task).map_or(gathered, |ready| ready.min(gathered));
        if now < start {
            return Decision::Wait(Some(start));
        }
        // without anybody who may aggregate nothing can begin
        let may_aggregate = self.order.iter().any(|id| *id == peers.me || peers.is_connected(id));
        if may_aggregate { Decision::Start } else { Decision::Wait(None) }
    }

    /// When a round that too few are left in is given up.
    ///
    /// An attempt that fails after some have got its roster sends those to the next round, where as few as
    /// one of them waits for the others: too few to be believed at once ([`Peers::round`]), and perhaps too
    /// many to do without. Whoever sees anybody ahead and no more than c behind (so nobody honest who could
    /// not come along) follows, a round at a time, after the longest that a round can take to start. With
    /// more behind it stays, so that those can catch up. Liars can so make members that wait in vain wait in
    /// a later round.
    fn give_up_at(&mut self, peers: &Peers, now: Now) -> Option<Now> {
        let ahead = peers.rounds().any(|round| round > self.round);
        let behind = peers.rounds().filter(|round| *round < self.round).count();
        if !ahead || behind > peers.manifest.corrupt() {
            self.behind_since = None;
            return None;
        }
        let policy = peers.manifest.policy();
        let patience = Duration::from_millis(policy.gather_ms) + Duration::from_millis(policy.deadline_ms);
        Some(*self.behind_since.get_or_insert(now) + patience)
    }
}
