//! What peers send over bulk streams, and of themselves, for [`crate::fuzzing`].

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use consort_protocol::{
    array::Dtype,
    encoding::{Layout, Reduction, VectorSpec},
    ids::{MemberId, SessionId},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    intake::Intake,
    places::Places,
    results::Results,
    serve::{Trusted, serve},
    status::Status,
};
use crate::fuzzing::run;

/// Session, member and aggregator of the seeds.
const SESSION: SessionId = SessionId([7; 32]);
const MEMBER: MemberId = MemberId([1; 32]);
const OTHER: MemberId = MemberId([2; 32]);

/// All that a peer sends on a bulk stream: a request, then a vector.
///
/// # Panics
/// Where a vector is taken in that is not all there, or that nobody asked for.
pub fn bulk(bytes: &[u8]) {
    let layout = layout();
    let folder = folder();
    run(async {
        let results = Results::open(folder).expect("a folder for results");
        let intake = Arc::new(Intake::new(SESSION, layout.clone(), [MEMBER, OTHER], folder).expect("files"));
        let trusted = Trusted { aggregator: Some(MEMBER), ..Trusted::default() };
        let stream = tokio::io::join(bytes, tokio::io::sink());
        let ended = CancellationToken::new();
        let places = Places::default().of(1);
        let served = serve(stream, MEMBER, Some(intake.clone()), &ended, &results, &trusted, &places);
        let Ok(taken) = served.await else { return };
        let taken = taken.expect("no sum is here to be fetched");
        assert!(bytes.len() as u64 >= layout.packed_len(), "a vector out of nothing");
        assert_eq!(intake.complete(), [taken]);
    });
}

/// What a member says of itself in its presence.
pub(crate) fn status(bytes: &[u8]) {
    if let Some(status) = Status::decode(bytes) {
        assert_eq!(Status::decode(&status.encode()), Some(status));
    }
}

fn layout() -> Layout {
    let spec = VectorSpec::default_for([(&[5u64][..], Dtype::F32)], Reduction::Sum, 3);
    spec.layout(3, 10).expect("a small layout")
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}
