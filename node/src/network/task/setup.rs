//! How the swarm task and its handle come to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        EventStream, Members, Network, NetworkConfig, NetworkError, Shared, address_book::AddressBook,
        behaviour::Behaviour, clocks::Clocks, discovery::Dialer, gate::Strangers, gossip, gossip::Judge,
        outbox::Outbox, presence::Announcer, presence::split_peer, reservations::Reservations, streams,
        streams::Inbox, transport,
    },
    Task, without_peer,
};
use crate::{identity, limits};

impl Task {
    pub(super) fn new(config: NetworkConfig) -> Result<(Self, Network, EventStream), NetworkError> {
        let NetworkConfig { identity, listen, reach, peers: seeds, members, remembered, consortium } = config;
        let through_relay = reach.through_relay || listen.is_empty();
        let local_peer = identity.public().to_peer_id();
        let local = identity::member_id(&local_peer).map_err(|_| NetworkError::NotAMember(local_peer))?;
        let mut peers = peer_ids(&members)?;
        let topic = gossip::topic(&consortium);
        if !peers.contains_key(&local) {
            return Err(NetworkError::NotAMember(local_peer));
        }
        let mut swarm = transport::swarm(identity, peers.len(), |identity, client| {
            Behaviour::new(identity, &peers, &topic, &reach, client)
        })?;
        peers.remove(&local);
        let mut streams = swarm.behaviour().streams.new_control();
        for address in listen {
            transport::listen(&mut swarm, address)?;
        }

        let now = Instant::now();
        let shared = Arc::new(Shared::default());
        let (event_sender, event_receiver) = mpsc::channel(limits::EVENT_QUEUE);
        let (note_sender, notes) = mpsc::channel(limits::COMMAND_QUEUE);
        let (command_sender, commands) = mpsc::channel(limits::COMMAND_QUEUE);
        let (status_sender, status) = watch::channel(Vec::new());
        let (cut_off_sender, cut_off) = watch::channel(BTreeSet::new());
        let (members_sender, members_receiver) = watch::channel(members.clone());
        let (connected, connected_receiver) = watch::channel(Arc::default());
        let (addresses, addresses_receiver) = watch::channel(Vec::new());
        let (known, known_receiver) = watch::channel(BTreeMap::new());
        let (ended_sender, ended) = mpsc::channel(1);
        let stop = CancellationToken::new();

        let inbox = Inbox {
            events: event_sender.clone(),
            notes: note_sender.clone(),
            connected: connected_receiver.clone(),
            traffic: shared.traffic.clone(),
        };
        let taken = |_| NetworkError::Setup("a stream protocol is registered twice".to_owned());
        let control = streams.accept(streams::CONTROL).map_err(taken)?;
        let bulk = streams.accept(streams::BULK).map_err(taken)?;
        let mut workers = JoinSet::new();
        workers.spawn(streams::serve_control(control, inbox.clone()));
        workers.spawn(streams::serve_bulk(bulk, inbox));

        let fixed = members.into_iter().filter(|(member, _)| *member != local);
        let fixed =
            fixed.map(|(member, addresses)| (member, addresses.into_iter().map(without_peer).collect()));
        let mut task = Self {
            local,
            judge: Judge::new(peers.keys().copied().chain([local])),
            book: AddressBook::new(fixed),
            dialer: Dialer::new(local, peers.clone(), !through_relay, now),
            clocks: Clocks::default(),
            announcer: Announcer::new(peers.len() + 1, reach.announce, !through_relay, now),
            reservations: Reservations::new(through_relay),
            relays: reach.relay,
            strangers: Strangers::new(shared.clone()),
            peers,
            swarm,
            topic,
            connections: BTreeMap::new(),
            links: BTreeMap::new(),
            attempts: 0,
            outbox: Outbox::default(),
            workers,
            streams: streams.clone(),
            shared: shared.clone(),
            commands,
            notes,
            note_sender,
            status,
            cut_off,
            members: members_receiver,
            events: event_sender,
            connected,
            addresses,
            known,
            stop: stop.clone(),
            _ended: ended,
        };
        for (member, addresses) in remembered {
            task.book.hint(&member, addresses);
        }
        for seed in seeds {
            task.add_seed(seed, now);
        }
        let network = Network {
            local,
            shared,
            commands: command_sender,
            status: Arc::new(status_sender),
            cut_off: Arc::new(cut_off_sender),
            members: Arc::new(members_sender),
            connected: connected_receiver,
            addresses: addresses_receiver,
            known: known_receiver,
            streams,
            stop,
            ended: ended_sender,
        };
        Ok((task, network, EventStream(event_receiver)))
    }

    /// An address to begin with, of a named member or of whoever answers.
    fn add_seed(&mut self, mut address: Multiaddr, now: Instant) {
        let Some(peer) = split_peer(&mut address) else {
            self.dialer.add_seed(address, now);
            return;
        };
        match identity::member_id(&peer) {
            Ok(member) if self.peers.contains_key(&member) => {
                self.book.add_fixed(&member, address);
                self.dialer.hasten(&member, now);
            }
            Ok(member) if member == self.local => {}
            _ => tracing::warn!(%peer, %address, "peer to begin with is not a member, not dialled"),
        }
    }
}

pub(super) fn peer_ids(members: &Members) -> Result<BTreeMap<MemberId, PeerId>, NetworkError> {
    let spell = |member: &MemberId| match identity::peer_id(member) {
        Ok(peer) => Ok((*member, peer)),
        Err(error) => Err(NetworkError::BadMember { member: *member, reason: error.to_string() }),
    };
    members.keys().map(spell).collect()
}
