//! How things are, for whoever asks: a snapshot between two events.

use consort_protocol::{contract::Task, ids::MemberId, io::Role, phase::Phase};

use crate::round::status::{Status, Summary};

use super::{Declined, Driver, NodeEvent};

/// How things are on this node.
pub(crate) struct View {
    /// The round that runs, or that this node would take part in next.
    pub(crate) round: u64,
    /// Where this node is in the round that runs.
    pub(crate) place: Option<Place>,
    /// What the waiting input is for.
    pub(crate) waiting: Option<Task>,
    /// Why the waiting input is in no round, where it is this node that has something against one.
    pub(crate) why_not: Option<String>,
    /// The last members, this node among them, that said no to something.
    pub(crate) declined: Vec<Declined>,
    /// All other members, in the manifest's order.
    pub(crate) peers: Vec<PeerView>,
}

/// A place in a running round.
pub(crate) struct Place {
    pub(crate) attempt: u32,
    pub(crate) slot: u32,
    /// The phase of this node as a member.
    pub(crate) phase: Option<Phase>,
    /// The phase of this node as aggregator, where it is that.
    pub(crate) aggregating: Option<Phase>,
    pub(crate) aggregator: Option<MemberId>,
}

/// Another member, as far as this node knows.
pub(crate) struct PeerView {
    pub(crate) id: MemberId,
    pub(crate) connected: bool,
    /// Proved to have broken the protocol, and left out.
    pub(crate) convicted: bool,
    pub(crate) status: Option<Status>,
}

impl View {
    /// Members that wait with another task for a round that this node could be in, grouped by what they wait with.
    pub(crate) fn others(&self) -> Vec<(Summary, Vec<MemberId>)> {
        let mine = self.waiting.as_ref().map(Task::digest);
        let mut groups: Vec<(Summary, Vec<MemberId>)> = Vec::new();
        for peer in self.peers.iter().filter(|peer| peer.connected) {
            let Some(Status { waiting: Some(task), summary: Some(summary), .. }) = &peer.status else {
                continue;
            };
            if Some(*task) == mine {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| known == summary) {
                Some((_, members)) => members.push(peer.id),
                None => groups.push((summary.clone(), vec![peer.id])),
            }
        }
        groups
    }

    /// How many, this node included, wait with the same task.
    pub(crate) fn ready(&self) -> usize {
        let Some(mine) = self.waiting.as_ref().map(Task::digest) else { return 0 };
        let same = |peer: &&PeerView| {
            peer.connected && peer.status.as_ref().is_some_and(|status| status.waiting == Some(mine))
        };
        1 + self.peers.iter().filter(same).count()
    }
}

impl Driver {
    /// Tells whoever looks on how many others are there.
    pub(super) async fn report_peers(&self) {
        let others = self.manifest.members().len() - 1;
        let connected = others.saturating_sub(self.state.peers.away().len());
        self.observer.notify(NodeEvent::Peers(connected)).await;
    }

    pub(super) fn view(&self) -> View {
        let state = &self.state;
        let place = state.running.as_ref().map(|running| {
            let (attempt, slot) = running.round.place();
            Place {
                attempt,
                slot,
                phase: running.round.phase(Role::Member),
                aggregating: running.round.phase(Role::Aggregator),
                aggregator: running.round.aggregator(),
            }
        });
        let others = self.manifest.members().iter().map(|member| member.id).filter(|id| *id != state.me);
        let peers = others.map(|id| PeerView {
            id,
            connected: state.peers.is_connected(&id),
            convicted: state.peers.is_excluded(&id),
            status: state.peers.status_of(&id).cloned(),
        });
        View {
            round: state.running.as_ref().map_or(state.gathering.round, |running| running.round.number()),
            place,
            waiting: state.pending.as_ref().map(|pending| pending.task.clone()),
            why_not: state.grounds.why_not().filter(|_| state.pending.is_some()),
            declined: state.grounds.declined().cloned().collect(),
            peers: peers.collect(),
        }
    }
}
