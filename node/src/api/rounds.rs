//! `/v1/rounds`: what the ledger has of rounds that are over, and their aggregates.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    sync::Arc,
};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use consort_protocol::contract::{Contract, Terms};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    handle::Handle,
    ledger::{LedgerError, RoundRecord},
    limits, npy,
    proof::{NoProof, RoundProof},
    summary::RoundSummary,
};

use super::{Problem, Shared};

/// A file is sent in pieces of so many bytes.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    limit: Option<usize>,
}

/// `GET /v1/rounds?limit=`: the newest first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    range: Result<Query<Range>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(Range { limit }) = range.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = limit.unwrap_or(20).min(limits::MAX_LISTED_ROUNDS);
    let rounds = blocking(&shared, move |handle| {
        let records = handle.records.latest(limit)?;
        records.iter().map(|record| summary(handle, record)).collect::<Result<Vec<_>, LedgerError>>()
    });
    Ok(Json(json!({ "rounds": rounds.await?.map_err(Problem::internal)? })))
}

/// `GET /v1/rounds/{n}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(round): Path<String>,
) -> Result<Json<RoundSummary>, Problem> {
    let round = number(&round)?;
    let found = blocking(&shared, move |handle| {
        let record = handle.records.round(round)?;
        record.map(|record| summary(handle, &record)).transpose()
    });
    let found = found.await?.map_err(Problem::internal)?;
    found.map(Json).ok_or_else(|| Problem::not_found(NoProof::Unknown(round)))
}

/// `GET /v1/rounds/{n}/proof`: the bytes that `consort rounds --verify` checks.
pub(super) async fn proof(
    State(shared): State<Arc<Shared>>,
    Path(round): Path<String>,
) -> Result<Response, Problem> {
    let round = number(&round)?;
    let found = blocking(&shared, move |handle| RoundProof::of(&handle.records, round)).await?;
    let proof = found.map_err(|error| match error {
        NoProof::Ledger(error) => Problem::internal(error),
        other => Problem::not_found(other),
    })?;
    let bytes = proof.to_bytes().map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// `GET /v1/rounds/{n}/aggregate`: as `.npy`; several arrays follow each other as they were handed in.
pub(super) async fn aggregate(
    State(shared): State<Arc<Shared>>,
    Path(round): Path<String>,
) -> Result<Response, Problem> {
    let round = number(&round)?;
    let chain = shared.handle.consortium();
    let file = blocking(&shared, move |handle| -> Result<File, Problem> {
        let record = handle.records.round(round).map_err(Problem::internal)?;
        let record = record.ok_or_else(|| Problem::not_found(NoProof::Unknown(round)))?;
        let (Some(contract), Some(published)) = (record.contract, record.published) else {
            return Err(Problem::not_found(format!("round {round} ended without a result")));
        };
        let Contract { ref manifest, attempt, slot, task, .. } = contract;
        let manifest = chain.by_digest(manifest).unwrap_or(chain.manifest()).clone();
        let terms = Terms::new(manifest, round, attempt, slot, task).map_err(Problem::internal)?;
        let survivors = published.certificate.survivors.vectors.len();
        let found = handle.results.aggregate(&published.sum.body.root, &terms, survivors);
        let Some(aggregate) = found.map_err(Problem::internal)? else {
            let detail = format!("the aggregate of round {round} is not kept any more; the last rounds' are");
            return Err(Problem::new(StatusCode::GONE, detail));
        };
        let write = || {
            let mut file = BufWriter::new(tempfile::tempfile_in(handle.results.folder())?);
            aggregate.leaves.iter().try_for_each(|array| npy::write(array, &mut file))?;
            file.flush()?;
            file.into_inner().map_err(io::IntoInnerError::into_error)
        };
        write().map_err(|error: io::Error| Problem::internal(format!("the aggregate: {error}")))
    });
    let mut file = file.await??;
    file.rewind().map_err(Problem::internal)?;
    let length = file.metadata().map_err(Problem::internal)?.len();
    let headers = [
        (header::CONTENT_TYPE, "application/x-npy".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    Ok((headers, Body::from_stream(pieces(file))).into_response())
}

/// A file's content, read beside the runtime.
fn pieces(file: File) -> impl futures::Stream<Item = io::Result<Vec<u8>>> + Send {
    stream::try_unfold(file, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
            io::Result::Ok((piece, file))
        });
        let (piece, file) = read.await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then_some((piece, file)))
    })
}

fn summary(handle: &Handle, record: &RoundRecord) -> Result<RoundSummary, LedgerError> {
    let roster = handle.records.roster(record.round)?;
    Ok(RoundSummary::of(record, roster.as_ref()))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::not_found("rounds are numbered from 0"))
}

async fn blocking<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Handle) -> T + Send + 'static,
) -> Result<T, Problem> {
    let handle = shared.handle.clone();
    tokio::task::spawn_blocking(move || work(&handle)).await.map_err(Problem::internal)
}
