//! `/metrics`: counters in Prometheus' text format.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{Problem, Shared};

/// `GET /metrics`.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let view = shared.handle.look().await.ok_or_else(Problem::stopping)?;
    let network = &shared.handle.network;
    let connected = view.peers.iter().filter(|peer| peer.connected).count() as u64;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let lines = [
        ("consort_members", "gauge", "Members of the consortium.", shared.manifest().members().len() as u64),
        ("consort_peers_connected", "gauge", "Other members that are connected.", connected),
        ("consort_round", "gauge", "The round that runs or comes next.", view.round),
        ("consort_in_round", "gauge", "1 while a round runs here.", view.place.is_some().into()),
        (
            "consort_input_waiting",
            "gauge",
            "1 while an input waits or is used.",
            view.waiting.is_some().into(),
        ),
        ("consort_rounds_completed_total", "counter", "Rounds with a result.", count(&shared.feed.completed)),
        ("consort_rounds_failed_total", "counter", "Rounds without a result.", count(&shared.feed.failed)),
        (
            "consort_declined_total",
            "counter",
            "Times that a member, this one among them, said no to a round or its survivors.",
            count(&shared.feed.declined),
        ),
        ("consort_sent_bytes_total", "counter", "Bytes sent to members.", network.bytes_sent()),
        ("consort_received_bytes_total", "counter", "Bytes from members.", network.bytes_received()),
        ("consort_strangers_refused_total", "counter", "Connections refused.", network.strangers_refused()),
    ];
    let text: String = lines
        .into_iter()
        .map(|(name, kind, help, value)| {
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
        })
        .collect();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
