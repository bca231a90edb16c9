//! `/v1/inputs`: handing in, asking what became of it, taking it back.

use std::{io, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use consort_protocol::hash::Digest;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    checked::{Checked, check},
    handle::{Handle, Outcome},
    inputs::{
        Draft, Ended, Found, InputFileError, InputId, Kept, Parameters,
        desk::{Known, Seat},
        read,
    },
    limits,
    node::Reduce,
};

use super::{Problem, Shared, status};

/// A piece of a body on its way to disk; `None` once it is complete.
type Piece = Option<hyper::body::Bytes>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    weight: Option<u64>,
    mean: Option<String>,
    label: Option<String>,
    query: Option<String>,
    clip: Option<f64>,
}

impl Asked {
    fn parameters(self) -> Result<Parameters, Problem> {
        let mean = match self.mean.as_deref() {
            None | Some("false" | "0") => false,
            Some("" | "true" | "1") => true,
            Some(_) => return Err(Problem::bad_request("mean is neither true nor false")),
        };
        let reduce = match (self.weight, mean) {
            (Some(_), true) => {
                return Err(Problem::unusable("weight and mean: a weighted mean or a plain one, not both"));
            }
            (Some(weight), false) => Reduce::WeightedMean(weight),
            (None, true) => Reduce::Mean,
            (None, false) => Reduce::Sum,
        };
        let mut query = Digest::default();
        if let Some(text) = self.query.filter(|text| !text.is_empty()) {
            hex::decode_to_slice(&text, &mut query)
                .map_err(|_| Problem::unusable("query is not a SHA-256 in 64 hexadecimal digits"))?;
        }
        let label = self.label.filter(|label| !label.is_empty());
        Ok(Parameters { reduce, label, query, clip: self.clip })
    }
}

/// `POST /v1/inputs`: the body is one `.npy`, or several one after the other.
pub(super) async fn hand_in(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let largest = shared.largest_body();
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > largest) {
        return Err(too_large(largest));
    }
    let ready = asked
        .map_err(|error| Problem::bad_request(error.body_text()))
        .and_then(|Query(asked)| asked.parameters())
        .and_then(|parameters| Ok((parameters, shared.desk.take().map_err(occupied)?)));
    let (parameters, seat) = match ready {
        Ok(ready) => ready,
        Err(problem) => {
            // a caller that is still writing would not read the answer
            let _ = pass(body, largest, None).await;
            return Err(problem);
        }
    };
    let (pieces, received) = mpsc::channel(limits::API_PIECES);
    let taking = tokio::task::spawn_blocking({
        let shared = shared.clone();
        move || take_in(&shared, &parameters, received)
    });
    let passed = pass(body, largest, Some(pieces)).await;
    let taken = taking.await.map_err(Problem::internal)?;
    passed?;
    let (kept, checked) = taken?;
    let id = kept.id();
    if let Err(problem) = wait(&shared, seat, kept, checked).await {
        // its owner was told that nothing came of it, so the next start must not hand it in
        let ended = Ended::failed(None, "the node was stopping; hand it in again");
        let _ = tokio::task::spawn_blocking(move || shared.desk.end(id, ended)).await;
        return Err(problem);
    }
    let body = Json(json!({ "input_id": id.to_string() }));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

/// Passes a body on, a piece at a time.
async fn pass(mut body: Body, largest: u64, to: Option<mpsc::Sender<Piece>>) -> Result<(), Problem> {
    let mut length = 0u64;
    loop {
        let slow = |_| {
            let seconds = limits::API_PATIENCE.as_secs();
            let detail = format!("nothing of the body came for {seconds} s; nothing of it was kept");
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
        };
        let Some(frame) = timeout(limits::API_PATIENCE, body.frame()).await.map_err(slow)? else { break };
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        length = length.saturating_add(piece.len() as u64);
        if length > largest {
            return Err(too_large(largest));
        }
        // whoever writes has said why it stopped
        if let Some(to) = &to
            && to.send(Some(piece)).await.is_err()
        {
            return pass_by(body, largest).await;
        }
    }
    if let Some(to) = to {
        let _ = to.send(None).await;
    }
    Ok(())
}

/// Reads on without keeping anything, so that the caller reads the answer.
async fn pass_by(body: Body, largest: u64) -> Result<(), Problem> {
    Box::pin(pass(body, largest, None)).await
}

/// Puts a body on disk and checks that it is an input. Blocks.
fn take_in(
    shared: &Shared,
    parameters: &Parameters,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<(Kept, Checked), Problem> {
    let store = shared.desk.store();
    let mut draft = store.begin(parameters).map_err(|error| Problem::disk(&error))?;
    if !write(&mut draft, &mut pieces).map_err(|error| Problem::disk(&error))? {
        return Err(Problem::bad_request("the body broke off; nothing of it was kept"));
    }
    let (draft, parameters, arrays) = draft.finish().map_err(|error| match error {
        InputFileError::Io(error) => Problem::disk(&error),
        InputFileError::Damaged(_) => Problem::internal(&error),
        InputFileError::Npy { .. } => Problem::unusable(&error),
    })?;
    let checked = check(&shared.manifest(), &shared.handle.consent, parameters.submission(arrays));
    let checked = checked.map_err(Problem::unusable)?;
    let allowed = shared.handle.limits.borrow().check_input(checked.elements);
    allowed.map_err(|over| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, over))?;
    let id = InputId::random().map_err(Problem::internal)?;
    let kept = store.keep(draft, id).map_err(|error| Problem::disk(&error))?;
    Ok((kept, checked))
}

/// Writes a body as it comes. Gives whether it came to its end.
fn write(draft: &mut Draft, pieces: &mut mpsc::Receiver<Piece>) -> io::Result<bool> {
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Some(piece) => draft.write(&piece)?,
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// Gives an input to the node, and writes down what becomes of it.
async fn wait(shared: &Arc<Shared>, seat: Seat, kept: Kept, checked: Checked) -> Result<(), Problem> {
    let id = kept.id();
    let outcome = shared.handle.hand_in(checked, kept).await.map_err(|_| Problem::stopping())?;
    seat.give(id);
    tokio::spawn(await_end(shared.clone(), id, outcome));
    Ok(())
}

async fn await_end(shared: Arc<Shared>, id: InputId, outcome: Outcome) {
    let ended = match outcome.await {
        Ok(Ok(result)) => Ended::aggregated(result.round, result.included),
        Ok(Err(error)) => Ended::failed(None, error.to_string()),
        // the node stops: the input's file says what may be done with it
        Err(_) => return,
    };
    let _ = tokio::task::spawn_blocking(move || shared.desk.end(id, ended)).await;
}

/// Goes on with what an earlier process left.
pub(super) async fn resume(shared: &Arc<Shared>) -> io::Result<()> {
    for found in shared.desk.store().found()? {
        match found {
            Found::Sent(id, round) => {
                let ended = outcome_of(&shared.handle, round);
                tracing::warn!(input = %id, round, "the input was in a round when the node ended");
                shared.desk.end(id, ended);
            }
            Found::Waiting(kept) => wait_again(shared, kept).await,
        }
    }
    Ok(())
}

/// What the ledger knows of a round in which an input may have left.
fn outcome_of(handle: &Handle, round: u64) -> Ended {
    let me = handle.network.local();
    let record = handle.records.round(round).ok().flatten();
    match record.and_then(|record| record.published) {
        Some(published) => Ended::aggregated(round, published.certificate.survivors.contains(&me)),
        None => Ended::failed(
            Some(round),
            "this node ended in the middle of the round; the input may be known within one sum, so it is not \
             handed in again by itself",
        ),
    }
}

async fn wait_again(shared: &Arc<Shared>, kept: Kept) {
    let (id, manifest, consent) = (kept.id(), shared.manifest(), shared.handle.consent.clone());
    let Ok(seat) = shared.desk.take() else {
        return shared.desk.end(id, Ended::failed(None, "another input waited; hand it in again"));
    };
    let path = kept.path();
    let checked = tokio::task::spawn_blocking(move || {
        let (parameters, arrays) = read(&mut std::fs::File::open(path)?)?;
        Ok::<_, InputFileError>(check(&manifest, &consent, parameters.submission(arrays)))
    });
    let again = "hand it in again; nothing of it has left";
    let refused = match checked.await.map_err(io::Error::other) {
        Ok(Ok(Ok(checked))) => match wait(shared, seat, kept, checked).await {
            Ok(()) => {
                tracing::info!(input = %id, "the input goes on waiting");
                return;
            }
            // it waits for the next start
            Err(_) => return,
        },
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => InputFileError::to_string(&error),
        Err(error) => error.to_string(),
    };
    tracing::error!(input = %id, reason = refused, "the input that waited cannot be used");
    shared.desk.end(id, Ended::failed(None, format!("{refused}; {again}")));
}

/// `GET /v1/inputs/{id}`.
pub(super) async fn look_up(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = known(&id)?;
    describe(&shared, id).await.map(Json)
}

/// `DELETE /v1/inputs/{id}`: takes it back, unless its masked vector may have left.
pub(super) async fn withdraw(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = known(&id)?;
    if shared.desk.look_up(id) == Some(Known::Waiting) {
        if !shared.handle.withdraw().await {
            let detail =
                "it is in a round already, and its masked vector may have left: it ends with the round";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        shared.desk.ended(id).await;
    }
    describe(&shared, id).await.map(Json)
}

/// The state of an input, as callers get it.
pub(super) async fn describe(shared: &Shared, id: InputId) -> Result<Value, Problem> {
    let known = shared.desk.look_up(id).ok_or_else(unknown)?;
    let Known::Ended(ended) = known else {
        let view = shared.handle.look().await.ok_or_else(Problem::stopping)?;
        return Ok(status::waiting(shared, id, &view));
    };
    let state = if ended.aggregated { "aggregated" } else { "failed" };
    let mut described = json!({ "input_id": id.to_string(), "state": state });
    if let Some(fields) = described.as_object_mut() {
        let entries = [
            ("round", ended.round.map(Value::from)),
            ("included", ended.included.map(Value::from)),
            ("reason", ended.reason.map(Value::from)),
        ];
        fields.extend(entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    Ok(described)
}

fn known(id: &str) -> Result<InputId, Problem> {
    id.parse().map_err(|()| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("no such input; only the last 32 that ended are known")
}

fn too_large(largest: u64) -> Problem {
    let detail = format!(
        "the body is over {largest} bytes, which hold the largest vector that this consortium (max_vector in its manifest) and this node (limits.memory_mib in its config.toml) allow"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn occupied(waiting: Option<InputId>) -> Problem {
    let detail = match waiting {
        Some(id) => format!(
            "input {id} is waiting already; it has to be used first, or taken back with `consort withdraw --home DIR`"
        ),
        None => "another input is being handed in right now; it has to be used first".into(),
    };
    Problem::new(StatusCode::CONFLICT, detail)
}
