//! Whose turn it is to hand in: one input waits at a time, and what became of the last ones is known.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Ended, InputId, OUTCOMES_KEPT, Store};

/// Inputs of a node, on disk and in hand.
pub(crate) struct Desk {
    store: Store,
    state: Mutex<State>,
    /// Changes whenever an input has ended.
    ended: watch::Sender<()>,
}

struct State {
    place: Place,
    ended: VecDeque<(InputId, Ended)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    /// Somebody hands in.
    Taken,
    Waiting(InputId),
}

/// What is known of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It waits, or is in a round.
    Waiting,
    Ended(Ended),
}

impl Desk {
    pub(crate) fn open(store: Store) -> io::Result<Self> {
        let ended = store.outcomes()?.into();
        let desk = Self {
            store,
            state: Mutex::new(State { place: Place::Free, ended }),
            ended: watch::Sender::new(()),
        };
        desk.forget_oldest();
        Ok(desk)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Takes the one place. The error is the input that has it, if it has come that far.
    pub(crate) fn take(self: &Arc<Self>) -> Result<Seat, Option<InputId>> {
        let mut state = self.lock();
        match state.place {
            Place::Free => {
                state.place = Place::Taken;
                Ok(Seat { desk: self.clone(), given: false })
            }
            Place::Taken => Err(None),
            Place::Waiting(id) => Err(Some(id)),
        }
    }

    /// The input that waits or is in a round.
    pub(crate) fn waiting(&self) -> Option<InputId> {
        match self.lock().place {
            Place::Waiting(id) => Some(id),
            Place::Free | Place::Taken => None,
        }
    }

    pub(crate) fn look_up(&self, id: InputId) -> Option<Known> {
        let state = self.lock();
        if state.place == Place::Waiting(id) {
            return Some(Known::Waiting);
        }
        let ended = state.ended.iter().rev().find(|(of, _)| *of == id);
        ended.map(|(_, ended)| Known::Ended(ended.clone()))
    }

    /// Writes down what became of an input, and makes room for the next. Blocks on the disk.
    pub(crate) fn end(&self, id: InputId, ended: Ended) {
        if let Err(error) = self.store.end(id, &ended) {
            tracing::error!(input = %id, %error, "what became of the input is not on disk");
        }
        let mut state = self.lock();
        if state.place == Place::Waiting(id) {
            state.place = Place::Free;
        }
        state.ended.push_back((id, ended));
        drop(state);
        self.forget_oldest();
        self.ended.send_replace(());
    }

    /// Returns once an input has ended, however long that takes.
    pub(crate) async fn ended(&self, id: InputId) -> Option<Ended> {
        let mut changed = self.ended.subscribe();
        loop {
            match self.look_up(id)? {
                Known::Ended(ended) => return Some(ended),
                Known::Waiting => changed.changed().await.ok()?,
            }
        }
    }

    fn forget_oldest(&self) {
        let mut state = self.lock();
        while state.ended.len() > OUTCOMES_KEPT {
            if let Some((id, _)) = state.ended.pop_front()
                && let Err(error) = self.store.forget(id)
            {
                tracing::debug!(input = %id, %error, "an old outcome was not there any more");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to hand in the next input. It is given back when dropped.
pub(crate) struct Seat {
    desk: Arc<Desk>,
    given: bool,
}

impl Seat {
    /// The input waits from now on.
    pub(crate) fn give(mut self, id: InputId) {
        self.desk.lock().place = Place::Waiting(id);
        self.given = true;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.given {
            self.desk.lock().place = Place::Free;
        }
    }
}
