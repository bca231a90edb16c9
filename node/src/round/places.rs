//! How many vectors are taken in at once: as many as the operator says, and of each sender its own and one of another.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use consort_protocol::ids::MemberId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a vector waits for its turn before its owner is asked to come again: less than a stream that does not
/// move is kept.
const PATIENCE: Duration = Duration::from_secs(8);

/// A sender, and whether the vector is its own.
pub(super) type Sender = (MemberId, bool);

/// Places for vectors.
#[derive(Clone)]
pub(super) struct Places {
    size: usize,
    free: Arc<Semaphore>,
    senders: Arc<Mutex<BTreeMap<Sender, Arc<Semaphore>>>>,
}

/// A sender's place.
pub(super) struct Place {
    _among_all: OwnedSemaphorePermit,
    _of_sender: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self { size: 0, free: Arc::new(Semaphore::new(0)), senders: Arc::default() }
    }
}

impl Places {
    /// So many places. Where the number has changed, what is being taken in keeps its place beside them.
    pub(super) fn of(&mut self, size: usize) -> Self {
        if self.size != size {
            (self.size, self.free) = (size, Arc::new(Semaphore::new(size.min(Semaphore::MAX_PERMITS))));
        }
        self.clone()
    }

    /// A place, once one is free and the sender has no other.
    pub(super) async fn place(&self, sender: Sender) -> io::Result<Place> {
        let busy = |_| {
            io::Error::new(io::ErrorKind::WouldBlock, "other vectors are being taken in (limits.uploads)")
        };
        let place = async {
            let of_sender = self.of_sender(sender).acquire_owned().await.map_err(io::Error::other)?;
            let among_all = self.free.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok(Place { _among_all: among_all, _of_sender: of_sender })
        };
        tokio::time::timeout(PATIENCE, place).await.map_err(busy)?
    }

    fn of_sender(&self, sender: Sender) -> Arc<Semaphore> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.entry(sender).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDERS: [Sender; 3] =
        [(MemberId([1; 32]), true), (MemberId([2; 32]), true), (MemberId([3; 32]), false)];

    #[tokio::test(start_paused = true)]
    async fn one_place_is_for_one_vector_at_a_time() {
        let [one, two, three] = SENDERS;
        let mut places = Places::default();
        let first = places.of(1).place(one).await.unwrap();
        let refused = places.of(1).place(two).await.err().unwrap();
        assert!(refused.to_string().contains("limits.uploads"), "{refused}");
        let again = places.of(1);
        let waits = tokio::spawn(async move { again.place(two).await });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waits.await.unwrap().is_ok());
        let places = places.of(2);
        let (_a, _b) = (places.place(one).await.unwrap(), places.place(two).await.unwrap());
        assert!(places.place(three).await.is_err(), "two places, both taken");
    }

    /// Or as many colluders as there are places but one could keep everybody else out, with several streams each.
    #[tokio::test(start_paused = true)]
    async fn nobody_has_two_places() {
        let [one, two, _] = SENDERS;
        let places = Places::default().of(2);
        let _place = places.place(one).await.unwrap();
        assert!(places.place(one).await.is_err());
        assert!(places.place(two).await.is_ok());
    }
}
