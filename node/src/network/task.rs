//! The one task that owns the swarm: it turns swarm events, notes of links and commands into one another,
//! and never waits for any of those it serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use consort_protocol::{codec, ids::MemberId};
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Fuse, FusedFuture as _},
};
use libp2p::{Multiaddr, PeerId, Swarm, multiaddr::Protocol, swarm::ConnectionId};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    Event, EventStream, Members, Network, NetworkConfig, NetworkError, Queued, Shared,
    address_book::{AddressBook, Route},
    behaviour::Behaviour,
    clocks::{Clocks, Wrong},
    control,
    discovery::Dialer,
    gate::Strangers,
    gossip::{self, Content, Judge},
    link::{Link, Note},
    outbox::Outbox,
    presence::{Announcer, Exchange, Heard, split_peer},
    reservations::Reservations,
};
use crate::{clock, limits};

mod membership;
mod reach;
mod setup;
mod swarm_events;

pub(super) struct Task {
    local: MemberId,
    peers: BTreeMap<MemberId, PeerId>,
    swarm: Swarm<Behaviour>,
    topic: gossip::Topic,
    judge: Judge,
    book: AddressBook,
    dialer: Dialer,
    announcer: Announcer,
    clocks: Clocks,
    reservations: Reservations,
    /// Whether this node relays.
    relays: bool,
    strangers: Strangers,
    /// In the order in which they came up.
    connections: BTreeMap<MemberId, Vec<Connection>>,
    links: BTreeMap<MemberId, LinkState>,
    attempts: u64,
    outbox: Outbox,
    workers: JoinSet<()>,
    streams: libp2p_stream::Control,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Vec<u8>>,
    notes: mpsc::Receiver<Note>,
    note_sender: mpsc::Sender<Note>,
    status: watch::Receiver<Vec<u8>>,
    cut_off: watch::Receiver<BTreeSet<MemberId>>,
    members: watch::Receiver<Members>,
    events: mpsc::Sender<Queued>,
    connected: watch::Sender<Arc<BTreeSet<MemberId>>>,
    addresses: watch::Sender<Vec<Multiaddr>>,
    known: watch::Sender<BTreeMap<MemberId, Vec<Multiaddr>>>,
    stop: CancellationToken,
    /// Dropped with the task, which tells [`Network::shutdown`].
    _ended: mpsc::Receiver<()>,
}

/// A connection to a member.
struct Connection {
    id: ConnectionId,
    relayed: bool,
}

/// A member with at least one connection.
struct LinkState {
    attempt: u64,
    worker: AbortHandle,
    up: bool,
    /// Whether its stream goes through a relay.
    relayed: bool,
    /// Whether the link has ever been up since the member is connected.
    welcomed: bool,
    /// Which run of the member this link leads to, once it has said so itself.
    incarnation: Option<u64>,
}

pub(super) fn start(config: NetworkConfig) -> Result<(Network, EventStream), NetworkError> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| NetworkError::NoRuntime)?;
    let (task, network, events) = Task::new(config)?;
    runtime.spawn(task.run());
    Ok((network, events))
}

impl Task {
    async fn run(mut self) {
        // Outlives a turn of the loop, or readers of frames would take every place in the queue of events.
        let mut slot: Fuse<BoxFuture<'_, _>> = Fuse::terminated();
        loop {
            if slot.is_terminated() && !self.outbox.is_empty() {
                slot = self.events.clone().reserve_owned().boxed().fuse();
            }
            self.dial();
            self.reserve();
            self.announce();
            let due = [self.dialer.wake(&self.book), self.reservations.wake()];
            let wake = due.into_iter().flatten().fold(self.announcer.due(), Instant::min);
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.events.closed() => break,
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(note) = self.notes.recv() => self.on_note(note),
                Some(bytes) = self.commands.recv() => self.publish(Content::Application(bytes), Instant::now()),
                Ok(()) = self.status.changed() => {
                    let status = self.status.borrow_and_update().clone();
                    self.announcer.set_status(status, Instant::now());
                }
                Ok(()) = self.cut_off.changed() => self.on_cut_off(),
                Ok(()) = self.members.changed() => self.on_members(),
                Ok(place) = &mut slot => {
                    if let Some(event) = self.outbox.pop() {
                        self.deliver(place, event);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
        self.finish().await;
    }

    /// Hands an event over. Readers wait until the application knows of a connection, so the watch changes
    /// only now.
    fn deliver(&mut self, place: mpsc::OwnedPermit<Queued>, event: Event) {
        let up = match &event {
            Event::Connected(member) => Some(*member),
            _ => None,
        };
        place.send(event.into());
        if let Some(member) = up {
            self.connected.send_if_modified(|connected| Arc::make_mut(connected).insert(member));
        }
    }

    fn dial(&mut self) {
        let now = Instant::now();
        for options in self.dialer.due(&self.book, now) {
            let connection = options.connection_id();
            tracing::trace!(peer = ?options.get_peer_id(), "dial");
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(%error, "dial refused");
                self.dialer.failed(connection, &self.book, now);
            }
        }
    }

    fn announce(&mut self) {
        let now = Instant::now();
        if self.announcer.due() <= now {
            self.announcer.announced(now);
            let presence = self.announcer.presence();
            self.publish(Content::Presence(presence), now);
        }
    }

    fn publish(&mut self, content: Content, now: Instant) {
        if !self.judge.within_budget(&self.local, now) {
            tracing::warn!(per_second = limits::GOSSIP_PER_SECOND, "gossip dropped: too much of it");
            return;
        }
        let bytes = match codec::encode(&content) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "gossip cannot be encoded");
                return;
            }
        };
        let length = bytes.len();
        match self.swarm.behaviour_mut().gossip.publish(self.topic.hash(), bytes) {
            Ok(_) => self.shared.traffic.add_sent(length),
            Err(error) => tracing::debug!(%error, "gossip not sent"),
        }
    }

    /// The gate closes the connections of those who are cut off, and lets in those who no longer are.
    fn on_cut_off(&mut self) {
        let cut_off = self.cut_off.borrow_and_update().clone();
        let gate = &mut self.swarm.behaviour_mut().allowed;
        for (member, peer) in &self.peers {
            if cut_off.contains(member) {
                if gate.disallow_peer(*peer) {
                    tracing::warn!(peer = %member, "cut off");
                }
            } else if gate.allow_peer(*peer) {
                tracing::info!(peer = %member, "no longer cut off");
                self.dialer.hasten(member, Instant::now());
            }
        }
    }

    fn on_note(&mut self, note: Note) {
        match note {
            Note::Up { member, attempt, queue } => self.on_up(member, attempt, queue),
            Note::Down { member, attempt } => self.on_down(member, attempt),
            Note::Told { from, mine, clock, others } => {
                self.compare_clocks(from, clock);
                self.on_told(from, mine, others);
            }
        }
    }

    fn on_up(&mut self, member: MemberId, attempt: u64, queue: control::Queue) {
        match self.links.get_mut(&member) {
            Some(link) if link.attempt == attempt => (link.up, link.welcomed) = (true, true),
            _ => return,
        }
        if self.links.values().filter(|link| link.up).count() == 1 {
            self.dialer.hasten_all(Instant::now());
        }
        self.tell(&member, &queue);
        self.shared.set_queue(member, Some(queue));
        self.outbox.connected(member);
        tracing::info!(peer = %member, "connected");
    }

    fn on_down(&mut self, member: MemberId, attempt: u64) {
        let Some(link) = self.links.get(&member) else { return };
        if link.attempt != attempt {
            return;
        }
        let welcomed = link.welcomed;
        self.unlink(&member);
        self.link(member, welcomed, limits::RELINK_PAUSE);
    }

    /// Tells a member who has just welcomed us of ourselves and of everybody we know.
    fn tell(&mut self, member: &MemberId, queue: &control::Queue) {
        let mine = self.announcer.presence();
        let known = self.book.known_to(member);
        let mut parts: Vec<_> = known.chunks(limits::MAX_EXCHANGE_MEMBERS).map(<[_]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        for others in parts {
            let told = match control::Outgoing::exchange(&Exchange {
                mine: mine.clone(),
                clock: clock::now(),
                others,
            }) {
                Ok(frame) => queue.offer(frame),
                Err(_) => false,
            };
            if !told {
                tracing::debug!(peer = %member, "exchange cut short");
            }
        }
    }

    fn on_told(&mut self, from: MemberId, mine: Heard, others: Vec<(MemberId, Vec<Multiaddr>)>) {
        let now = Instant::now();
        self.notice_restart(&from, mine.incarnation);
        self.hear(from, mine, Route::Direct);
        for (member, addresses) in others {
            if self.book.hint(&member, addresses) {
                self.dialer.hasten(&member, now);
            }
        }
    }

    fn compare_clocks(&mut self, from: MemberId, clock: u64) {
        match self.clocks.heard(from, clock, clock::now()) {
            Some(Wrong::Mine { behind, members }) => tracing::warn!(
                members,
                "this machine's clock is more than ten minutes {} those of most members: set it. Rounds do not depend \
                 on it; relays, `rounds_per_day` and the times in this log do",
                if behind { "behind" } else { "ahead of" }
            ),
            Some(Wrong::Theirs(peer)) => {
                tracing::warn!(%peer, "the clock of this member and this machine's are more than ten minutes apart");
            }
            None => {}
        }
    }

    /// A member that has started again is reached by its newest connection only; those to its former life
    /// are closed now, since QUIC would take a while to notice.
    fn notice_restart(&mut self, member: &MemberId, incarnation: u64) {
        let Some(link) = self.links.get_mut(member) else { return };
        let before = link.incarnation.replace(incarnation);
        if before.is_none_or(|before| before == incarnation) {
            return;
        }
        tracing::debug!(peer = %member, "restarted");
        if let Some((_, stale)) = self.connections.get(member).and_then(|all| all.split_last()) {
            for connection in stale {
                self.swarm.close_connection(connection.id);
            }
        }
    }

    fn hear(&mut self, member: MemberId, heard: Heard, route: Route) {
        let news = self.book.hear(&member, heard, route);
        if news.addresses {
            self.dialer.hasten(&member, Instant::now());
            self.publish_known();
        }
        if let Some(status) = news.status {
            self.outbox.status(member, status);
        }
    }

    /// Begins to open a link; the connection stands.
    fn link(&mut self, member: MemberId, welcomed: bool, pause: std::time::Duration) {
        let Some(peer) = self.peers.get(&member).copied() else { return };
        self.attempts += 1;
        let link = Link {
            member,
            peer,
            attempt: self.attempts,
            pause,
            streams: self.streams.clone(),
            traffic: self.shared.traffic.clone(),
            notes: self.note_sender.clone(),
        };
        let worker = self.workers.spawn(link.run());
        let relayed = self.connections.get(&member).is_some_and(|open| open.iter().all(|one| one.relayed));
        self.links.insert(
            member,
            LinkState { attempt: self.attempts, worker, up: false, relayed, welcomed, incarnation: None },
        );
        while self.workers.try_join_next().is_some() {}
    }

    /// Ends a link; returns whether the member had ever welcomed us.
    fn unlink(&mut self, member: &MemberId) -> bool {
        let Some(link) = self.links.remove(member) else { return false };
        link.worker.abort();
        if link.up {
            self.shared.set_queue(*member, None);
            self.connected.send_if_modified(|connected| {
                connected.contains(member) && Arc::make_mut(connected).remove(member)
            });
            self.outbox.disconnected(*member);
            self.book.lost(member);
            tracing::info!(peer = %member, "disconnected");
        }
        link.welcomed
    }

    /// Lets queued frames leave, closes all connections, and forgets the rest.
    async fn finish(mut self) {
        self.shared.clear_queues();
        let deadline = tokio::time::Instant::now() + limits::SHUTDOWN_PATIENCE;
        self.links.retain(|_, link| {
            if !link.up {
                link.worker.abort();
            }
            link.up
        });
        while !self.links.is_empty() {
            tokio::select! {
                _ = self.swarm.select_next_some() => {}
                Some(note) = self.notes.recv() => {
                    if let Note::Down { member, .. } = note {
                        self.links.remove(&member);
                    }
                }
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
            // An error says that the peer has just gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        while self.swarm.network_info().num_peers() > 0 {
            tokio::select! {
                _ = self.swarm.select_next_some() => {}
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        tracing::debug!("network ended");
    }

    /// Tells everybody who watches where this node listens.
    fn publish_addresses(&self) {
        let own = *self.swarm.local_peer_id();
        let bound = self.announcer.listening().iter().cloned();
        let full = bound.chain(self.announcer.circuits()).map(|address| address.with(Protocol::P2p(own)));
        self.addresses.send_replace(full.collect());
    }

    /// Tells everybody who watches where the others may be found.
    fn publish_known(&self) {
        self.known.send_replace(self.book.known());
    }
}

fn without_peer(mut address: Multiaddr) -> Multiaddr {
    split_peer(&mut address);
    address
}
