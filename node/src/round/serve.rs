//! Answers the bulk streams that others open: takes in a vector, or gives out a sum.

use std::{collections::BTreeMap, io, sync::Arc};

use consort_protocol::{hash::Digest, ids::MemberId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    bulk::{Request, read_message},
    intake::Intake,
    places::Places,
    results::Results,
};

/// From whom vectors of others are taken.
#[derive(Default)]
pub(super) struct Trusted {
    /// The aggregator of the slot, for whom this node stands by.
    pub(super) aggregator: Option<MemberId>,
    /// Where this node has taken over as aggregator: from anybody, what has one of these roots.
    pub(super) required: BTreeMap<MemberId, Digest>,
}

/// Does what the opener of a stream asks for. Gives the owner and the root of a vector that is now complete,
/// and nothing where a sum was asked for.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    from: MemberId,
    intake: Option<Arc<Intake>>,
    ended: &CancellationToken,
    results: &Results,
    trusted: &Trusted,
    places: &Places,
) -> io::Result<Option<(MemberId, Digest)>> {
    let (session, owner, root) = match read_message(&mut stream).await? {
        Request::Upload(session, root) => (session, from, root),
        Request::Standby(session, owner)
            if trusted.aggregator == Some(from) || trusted.required.contains_key(&owner) =>
        {
            (session, owner, None)
        }
        Request::Standby(..) => {
            return Err(io::Error::other("vectors of others are taken from the slot's aggregator only"));
        }
        Request::Fetch(root) => {
            let sum =
                results.get(&root).ok_or_else(|| io::Error::other("asked for a sum that is not here"))?;
            return sum.serve(stream).await.map(|()| None);
        }
    };
    let intake = intake
        .filter(|intake| intake.session() == session)
        .ok_or_else(|| io::Error::other("an upload for no session of mine"))?;
    // the sender's last stream gives up its place
    let turn = intake.open(owner, from, trusted.required.get(&owner).copied());
    let receive = async {
        let _place = turn.until_over(places.place(from)).await?;
        intake.receive(&turn, root, stream).await
    };
    let received = ended.run_until_cancelled(receive).await;
    let root = received.ok_or_else(|| io::Error::other("the attempt ended before the upload did"))??;
    Ok(Some((owner, root)))
}
