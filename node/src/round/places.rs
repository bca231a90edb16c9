//! How many vectors are taken in at once.

use std::{io, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a vector waits for its turn before its owner is asked to come again: less than a stream that does not
/// move is kept.
const PATIENCE: Duration = Duration::from_secs(8);

/// Places for vectors; as many as the operator says.
pub(super) struct Places {
    size: usize,
    free: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self { size: 0, free: Arc::new(Semaphore::new(0)) }
    }
}

impl Places {
    /// So many places. Where the number has changed, what is being taken in keeps its place beside them.
    pub(super) fn of(&mut self, size: usize) -> Arc<Semaphore> {
        if self.size != size {
            *self = Self { size, free: Arc::new(Semaphore::new(size.min(Semaphore::MAX_PERMITS))) };
        }
        self.free.clone()
    }
}

/// A place, once one is free.
pub(super) async fn place(places: Arc<Semaphore>) -> io::Result<OwnedSemaphorePermit> {
    let busy =
        || io::Error::new(io::ErrorKind::WouldBlock, "other vectors are being taken in (limits.uploads)");
    let place = tokio::time::timeout(PATIENCE, places.acquire_owned()).await.map_err(|_| busy())?;
    place.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_place_is_for_one_vector_at_a_time() {
        let mut places = Places::default();
        let first = place(places.of(1)).await.unwrap();
        let refused = place(places.of(1)).await.unwrap_err();
        assert!(refused.to_string().contains("limits.uploads"), "{refused}");
        let waits = tokio::spawn(place(places.of(1)));
        tokio::task::yield_now().await;
        drop(first);
        assert!(waits.await.unwrap().is_ok());
        let (_a, _b) = (place(places.of(2)).await.unwrap(), place(places.of(2)).await.unwrap());
        assert!(place(places.of(2)).await.is_err(), "two places, both taken");
    }
}
