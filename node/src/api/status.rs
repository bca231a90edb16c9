//! `/v1/status` and `/v1/peers`: how things are with this node, and with the others as far as it knows.

use std::sync::Arc;

use axum::{Json, extract::State};
use consort_protocol::ids::MemberId;
use serde_json::{Value, json};

use crate::{
    inputs::InputId,
    round::{
        driver::View,
        status::{Status, Summary, reduction},
    },
    summary::{TaskSummary, name},
};

use super::{Problem, Shared, inputs::describe};

/// `GET /v1/status`.
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let view = shared.handle.look().await.ok_or_else(Problem::stopping)?;
    let manifest = shared.manifest();
    let input = match shared.desk.waiting() {
        Some(id) => describe(&shared, id).await?,
        None => Value::Null,
    };
    let listening = shared.handle.network.listen_addresses();
    let listening: Vec<String> = listening.borrow().iter().map(ToString::to_string).collect();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "peer": name(&shared.handle.network.local()),
        "name": member_name(&shared, &shared.handle.network.local()),
        "consortium": {
            "name": manifest.name(),
            "epoch": manifest.epoch(),
            "digest": hex::encode(manifest.digest()),
            "members": manifest.members().len(),
            "corrupt": manifest.corrupt(),
            "min_participants": manifest.min_participants(),
        },
        "listening": listening,
        "connected": view.peers.iter().filter(|peer| peer.connected).count(),
        "round": view.round,
        "running": running(&view),
        "input": input,
        "others": others(&shared, &view),
        "held_back": view.why_not,
        "declined": declined(&shared, &view),
        "proposals": proposals(&shared),
    })))
}

/// `GET /v1/peers`.
pub(super) async fn peers(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let view = shared.handle.look().await.ok_or_else(Problem::stopping)?;
    let peers: Vec<Value> = view
        .peers
        .iter()
        .map(|peer| {
            let status = peer.status.as_ref();
            json!({
                "peer": name(&peer.id),
                "short": peer.id.to_string(),
                "name": member_name(&shared, &peer.id),
                "may_aggregate": shared.manifest().members().iter().any(|member| member.id == peer.id && member.may_aggregate),
                "connected": peer.connected,
                "convicted": peer.convicted,
                "round": status.map(|status| status.round),
                "waiting": status.and_then(|status: &Status| status.summary.as_ref()).map(waits_with),
            })
        })
        .collect();
    Ok(Json(json!({ "peers": peers })))
}

/// A waiting input: what for, with whom, and with what the others wait.
pub(super) fn waiting(shared: &Shared, id: InputId, view: &View) -> Value {
    let task = view.waiting.as_ref().map(TaskSummary::of);
    match running(view) {
        Value::Null => json!({
            "input_id": id.to_string(),
            "state": "waiting",
            "round": view.round,
            "task": task,
            "ready": view.ready(),
            "needed": shared.manifest().min_participants(),
            "others": others(shared, view),
        }),
        running => json!({
            "input_id": id.to_string(),
            "state": "in-round",
            "round": view.round,
            "task": task,
            "running": running,
        }),
    }
}

fn running(view: &View) -> Value {
    view.place.as_ref().map_or(Value::Null, |place| {
        json!({
            "attempt": place.attempt,
            "slot": place.slot,
            "phase": place.phase,
            "aggregating": place.aggregating,
            "aggregator": place.aggregator.as_ref().map(name),
        })
    })
}

/// Next epochs that wait for signatures; `file` is missing where there was no room for it.
fn proposals(shared: &Shared) -> Vec<Value> {
    let (me, proposals) = (shared.handle.network.local(), shared.handle.proposals.borrow().clone());
    let proposals = proposals.iter().map(|proposal| {
        json!({
            "epoch": proposal.epoch,
            "file": proposal.file,
            "signatures": proposal.tally.found,
            "needed": proposal.tally.needed,
            "signed_by_me": !proposal.tally.missing.contains(&me),
        })
    });
    proposals.collect()
}

/// Who said no of late, and why.
fn declined(shared: &Shared, view: &View) -> Vec<Value> {
    let declined = view.declined.iter().map(|declined| {
        json!({
            "round": declined.round,
            "member": member_name(shared, &declined.who),
            "phase": declined.phase,
            "reason": declined.reason,
        })
    });
    declined.collect()
}

/// Members that wait with another task, and in what it differs from mine.
fn others(shared: &Shared, view: &View) -> Vec<Value> {
    let mine = view.waiting.as_ref().map(Summary::of);
    let groups = view.others().into_iter().map(|(summary, members)| {
        let names: Vec<String> = members.iter().map(|id| member_name(shared, id)).collect();
        json!({
            "members": names,
            "wait_with": waits_with(&summary),
            "differs": mine.as_ref().map(|mine| summary.differences(mine)).unwrap_or_default(),
        })
    });
    groups.collect()
}

fn waits_with(summary: &Summary) -> Value {
    json!({
        "reduction": reduction(summary.reduction),
        "label": summary.label,
        "query": (summary.query != [0; 32]).then(|| hex::encode(summary.query)),
        "arrays": summary.arrays,
        "shape": summary.shape,
        "dtype": summary.dtype,
        "clip": summary.clip,
    })
}

fn member_name(shared: &Shared, id: &MemberId) -> String {
    let manifest = shared.manifest();
    let member = manifest.members().iter().find(|member| member.id == *id);
    member.map(|member| member.name.clone()).unwrap_or_default()
}
