//! Whose turn it is to write a member's vector.
//!
//! One stream writes at a time. A newer one of the same sender ends the last, which is lost to it. A vector comes from
//! its owner, who need not wait for anybody who passes it on. Where its root is certified it may come from whoever
//! holds it: then the owner is one of them, they take turns as they come, and whoever is slower than any deadline
//! allows for gives way.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use consort_protocol::{contract::SLOWEST_BYTES_PER_SECOND, hash::Digest, ids::MemberId};
use tokio::sync::{Mutex as Lock, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::intake::Written;

/// How long a stream waits before it asks whether the one that writes is too slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// Streams with vectors, by the vector's owner.
#[derive(Default)]
pub(super) struct Writers {
    streams: Mutex<BTreeMap<MemberId, Streams>>,
}

#[derive(Default)]
struct Streams {
    /// The newest of each sender.
    newest: BTreeMap<MemberId, Turn>,
    writing: Option<Turn>,
}

/// A stream that writes, or waits to.
#[derive(Clone)]
pub(super) struct Turn {
    pub(super) owner: MemberId,
    pub(super) by: MemberId,
    /// Root of the vector, where it may come from whoever holds it.
    pub(super) required: Option<Digest>,
    over: CancellationToken,
    bytes: Arc<AtomicU64>,
}

impl Writers {
    pub(super) fn open(&self, owner: MemberId, by: MemberId, required: Option<Digest>) -> Turn {
        let (over, bytes) = Default::default();
        let turn = Turn { owner, by, required, over, bytes };
        let mut all = self.lock();
        let streams = all.entry(owner).or_default();
        if let Some(last) = streams.newest.insert(by, turn.clone()) {
            last.over.cancel();
        }
        if by == owner && required.is_none() {
            streams.newest.retain(|sender, other| {
                let stays = *sender == by;
                if !stays {
                    other.over.cancel();
                }
                stays
            });
        }
        turn
    }

    /// Waits until nobody else writes.
    pub(super) async fn wait(
        &self,
        turn: &Turn,
        written: Arc<Lock<Written>>,
    ) -> io::Result<OwnedMutexGuard<Written>> {
        let mut lock = std::pin::pin!(written.lock_owned());
        loop {
            let before = self.lock().get(&turn.owner).and_then(|it| it.writing.as_ref()).map(Turn::progress);
            let waited = turn.until_over(async { Ok(tokio::time::timeout(PATIENCE, &mut lock).await) });
            if let Ok(written) = waited.await? {
                self.lock().entry(turn.owner).or_default().writing = Some(turn.clone());
                return Ok(written);
            }
            if let Some((writer, bytes)) = before.filter(|_| turn.required.is_some())
                && writer.bytes.load(Ordering::Relaxed) - bytes
                    < SLOWEST_BYTES_PER_SECOND * PATIENCE.as_secs()
            {
                writer.over.cancel();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<MemberId, Streams>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Does this unless the turn ends before.
    pub(super) async fn until_over<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let done = self.over.run_until_cancelled(work).await;
        done.ok_or_else(|| io::Error::other("another stream goes on with this vector"))?
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn progress(&self) -> (Self, u64) {
        (self.clone(), self.bytes.load(Ordering::Relaxed))
    }
}
