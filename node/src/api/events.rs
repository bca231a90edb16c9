//! `/v1/events`: what happens on the node, as server-sent events.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::{
    events::{NodeEvent, Observer, Role},
    limits,
    summary::{name, names},
};

use super::Shared;

/// Passes on what happens: to whoever looks on through the API, and to another observer.
pub struct Feed {
    events: broadcast::Sender<Told>,
    next: Arc<dyn Observer>,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) declined: AtomicU64,
}

/// One event: its kind and its JSON.
type Told = (&'static str, Arc<str>);

impl Feed {
    /// A feed that tells another observer too.
    #[must_use]
    pub fn new(next: Arc<dyn Observer>) -> Self {
        let (events, _) = broadcast::channel(limits::API_EVENTS);
        let (completed, failed, declined) = Default::default();
        Self { events, next, completed, failed, declined }
    }
}

impl Observer for Feed {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if let NodeEvent::RoundOver { attempts, .. } = &event {
            let completed = attempts.last().is_some_and(|last| last.outcome == "completed");
            let counter = if completed { &self.completed } else { &self.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let NodeEvent::Declined { .. } = &event {
            self.declined.fetch_add(1, Ordering::Relaxed);
        }
        if self.events.receiver_count() > 0 {
            let (kind, data) = tell(&event);
            let _ = self.events.send((kind, data.to_string().into()));
        }
        self.next.notify(event)
    }
}

fn tell(event: &NodeEvent) -> (&'static str, Value) {
    match event {
        NodeEvent::Listening(addresses) => ("listening", json!({ "addresses": addresses })),
        NodeEvent::Peers(connected) => ("peers", json!({ "connected": connected })),
        NodeEvent::Phase { round, attempt, slot, role, phase } => {
            let role = if *role == Role::Aggregator { "aggregator" } else { "member" };
            let data =
                json!({ "round": round, "attempt": attempt, "slot": slot, "role": role, "phase": phase });
            ("phase", data)
        }
        NodeEvent::Received { round, vectors, expected } => {
            ("received", json!({ "round": round, "vectors": vectors, "expected": expected }))
        }
        NodeEvent::Aggregated { round, phases_ms } => {
            ("aggregated", json!({ "round": round, "phases_ms": phases_ms }))
        }
        NodeEvent::Fault(fault) => {
            let data = json!({
                "peer": name(&fault.who), "phase": fault.phase, "fault": fault.kind.to_string(),
            });
            ("fault", data)
        }
        NodeEvent::Declined { round, who, phase, reason } => {
            let data = json!({ "round": round, "peer": name(who), "phase": phase, "reason": reason });
            ("declined", data)
        }
        NodeEvent::Convicted(proven) => {
            let data = json!({ "peer": name(&proven.culprit), "crime": proven.crime, "round": proven.round });
            ("convicted", data)
        }
        NodeEvent::Proposed { epoch, tally } => {
            ("proposed", json!({ "epoch": epoch, "signatures": tally.found, "needed": tally.needed }))
        }
        NodeEvent::Epoch(epoch) => ("epoch", json!({ "epoch": epoch })),
        NodeEvent::Removed { epoch } => ("removed", json!({ "epoch": epoch })),
        NodeEvent::Restored { round } => ("restored", json!({ "round": round })),
        NodeEvent::Forked(error) => ("forked", json!({ "reason": error.to_string() })),
        NodeEvent::RoundOver { round, attempts, roster } => {
            let outcome = attempts.last().map_or("no-attempt", |last| last.outcome.as_str());
            ("round", json!({ "round": round, "outcome": outcome, "roster": names(roster) }))
        }
    }
}

/// `GET /v1/events`.
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = shared.feed.events.subscribe();
    let events = stream::unfold(events, |mut events| async {
        let event = match events.recv().await {
            Ok((kind, data)) => Event::default().event(kind).data(&*data),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Event::default().event("missed").data(json!({ "events": missed }).to_string())
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((Ok(event), events))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
