//! Who sends a vector: one stream of each sender at a time, and for its own vector another one.
//!
//! A newer stream ends the last, which is lost to its sender. Where a vector may come from whoever holds it, all who
//! offer it wait a little for the one that has begun, so that it need not come many times, and no longer: it may
//! dawdle.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use consort_protocol::{contract::SLOWEST_BYTES_PER_SECOND, ids::MemberId};
use tokio::{
    sync::{Mutex as Lock, Notify, OwnedMutexGuard},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::intake::Partial;

/// What a stream waits for another one with the same vector, beside the time that this takes at [`BRISK`].
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes per second of a stream that is waited for: so much more than the least, that a quarter of the time is lost.
const BRISK: u64 = 4 * SLOWEST_BYTES_PER_SECOND;

/// All senders of vectors of one session.
#[derive(Default)]
pub(super) struct Senders {
    lanes: Mutex<BTreeMap<(MemberId, bool), Lane>>,
    /// A vector is all there, or a stream is over.
    changed: Notify,
}

/// What a sender sends: its own vector, or those of others one after the other.
#[derive(Clone)]
struct Lane {
    newest: CancellationToken,
    /// Whose vector the newest stream brings, while it lasts.
    of: Option<MemberId>,
    partial: Arc<Lock<Option<Partial>>>,
}

/// A stream that may write, until its sender opens another one.
pub(super) struct Turn {
    over: CancellationToken,
    partial: Arc<Lock<Option<Partial>>>,
}

impl Senders {
    /// A sender has opened a stream with a member's vector. The sender is a member.
    pub(super) fn turn(&self, owner: MemberId, by: MemberId) -> Turn {
        let mut lanes = self.lanes();
        let lane = lanes.entry((by, owner == by)).or_insert_with(|| Lane {
            newest: CancellationToken::new(),
            of: None,
            partial: Arc::default(),
        });
        lane.newest.cancel();
        lane.newest = CancellationToken::new();
        lane.of = None;
        Turn { over: lane.newest.clone(), partial: lane.partial.clone() }
    }

    /// Waits while another sender brings the same vector, unless it takes long.
    pub(super) async fn wait_for_another(&self, owner: MemberId, bytes: u64, is_here: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE + Duration::from_secs(bytes / BRISK);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let busy = self.lanes().values().any(|lane| lane.of == Some(owner));
            if !busy || is_here() || tokio::time::timeout_at(until, changed).await.is_err() {
                return;
            }
        }
    }

    /// Says that a sender brings a member's vector now, for as long as what it gives lives.
    pub(super) fn writing(&self, owner: MemberId, by: MemberId) -> Writing<'_> {
        if let Some(lane) = self.lanes().get_mut(&(by, owner == by)) {
            lane.of = Some(owner);
        }
        Writing { senders: self, lane: (by, owner == by), owner }
    }

    /// A vector is all there.
    pub(super) fn arrived(&self) {
        self.changed.notify_waiters();
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<(MemberId, bool), Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Senders::writing`].
pub(super) struct Writing<'a> {
    senders: &'a Senders,
    lane: (MemberId, bool),
    owner: MemberId,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let Some(lane) =
            self.senders.lanes().get_mut(&self.lane).filter(|lane| lane.of == Some(self.owner))
        {
            lane.of = None;
        }
        self.senders.arrived();
    }
}

impl Turn {
    /// Does this unless the turn ends before.
    pub(super) async fn until_over<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let done = self.over.run_until_cancelled(work).await;
        done.ok_or_else(|| io::Error::other("its sender goes on with a newer stream"))?
    }

    /// What the sender has sent so far, once its last stream has let go of it.
    pub(super) async fn partial(&self) -> OwnedMutexGuard<Option<Partial>> {
        self.partial.clone().lock_owned().await
    }
}
