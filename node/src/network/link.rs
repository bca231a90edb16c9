//! A link: our control stream to one member, from its welcome until it breaks.

use std::{sync::Arc, time::Duration};

use consort_protocol::ids::MemberId;
use libp2p::{Multiaddr, PeerId};
use libp2p_stream::Control;
use tokio::sync::mpsc;

use super::{
    Traffic, control,
    presence::Heard,
    streams::{self, Unopened},
};

/// What links and readers tell the swarm task.
pub(super) enum Note {
    /// The member has welcomed our stream; frames queued here leave on it.
    Up { member: MemberId, attempt: u64, queue: control::Queue },
    /// The stream could not be opened or broke, and what was queued is lost.
    Down { member: MemberId, attempt: u64 },
    /// A member told us of itself and others.
    Told { from: MemberId, mine: Heard, clock: u64, others: Vec<(MemberId, Vec<Multiaddr>)> },
}

/// One attempt at a link, told apart from earlier ones by its number.
pub(super) struct Link {
    pub(super) member: MemberId,
    pub(super) peer: PeerId,
    pub(super) attempt: u64,
    pub(super) pause: Duration,
    pub(super) streams: Control,
    pub(super) traffic: Arc<Traffic>,
    pub(super) notes: mpsc::Sender<Note>,
}

impl Link {
    /// Pauses, opens the stream, and writes until it breaks, or until nobody can send any more.
    pub(super) async fn run(self) {
        let Self { member, peer, attempt, pause, streams, traffic, notes } = self;
        tokio::time::sleep(pause).await;
        match streams::open(streams, peer, streams::CONTROL).await {
            Ok(mut stream) => {
                let (queue, mut frames) = control::queue();
                if notes.send(Note::Up { member, attempt, queue }).await.is_err() {
                    return;
                }
                if let Err(error) = control::write(&mut stream, &mut frames, &traffic).await {
                    tracing::debug!(peer = %member, %error, "link broke");
                }
            }
            Err(Unopened::Busy) => tracing::debug!(peer = %member, "control stream refused"),
            Err(Unopened::Failed(reason)) => tracing::debug!(peer = %member, %reason, "no control stream"),
        }
        // Nobody hears it where the swarm task has ended, and then nobody needs to.
        let _ = notes.send(Note::Down { member, attempt }).await;
    }
}
