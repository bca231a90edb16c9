//! Answers the bulk streams that others open: takes in a vector, or gives out a sum.

use std::{collections::BTreeMap, io, sync::Arc};

use consort_protocol::{hash::Digest, ids::MemberId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    bulk::{Request, read_message},
    intake::{Arrived, Expected, Intake},
    places::Places,
    results::Results,
};

/// From whom vectors are taken.
#[derive(Default)]
pub(super) struct Trusted {
    /// This node, whose own vector nobody else brings.
    pub(super) me: Option<MemberId>,
    /// The aggregator of the slot, for whom this node stands by.
    pub(super) aggregator: Option<MemberId>,
    /// Where this node has taken over as aggregator: what has one of these roots, from anybody.
    pub(super) required: BTreeMap<MemberId, Digest>,
}

impl Trusted {
    /// The vector that a request brings, if it may.
    fn expected(&self, from: MemberId, request: &Request) -> Result<Expected, &'static str> {
        let (owner, root) = match *request {
            Request::Upload(_, root) => (from, root),
            Request::PassOn(_, owner, _) if self.me == Some(owner) => {
                return Err("this node's own vector, from somebody else");
            }
            Request::PassOn(_, owner, root)
                if self.aggregator == Some(from) || self.required.contains_key(&owner) =>
            {
                (owner, Some(root))
            }
            Request::PassOn(..) => return Err("vectors of others are taken from the slot's aggregator only"),
            Request::Fetch(_) => return Err("no vector"),
        };
        match self.required.get(&owner) {
            Some(required) if root.is_some_and(|root| root != *required) => {
                Err("another vector than the one that was voted for")
            }
            required => Ok(Expected { owner, by: from, root: required.copied().or(root) }),
        }
    }
}

/// Does what the opener of a stream asks for. Gives the vector that is here now, and nothing where a sum was asked
/// for.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    from: MemberId,
    intake: Option<Arc<Intake>>,
    ended: &CancellationToken,
    results: &Results,
    trusted: &Trusted,
    places: &Places,
) -> io::Result<Option<Arrived>> {
    let request = read_message(&mut stream).await?;
    let session = match request {
        Request::Upload(session, _) | Request::PassOn(session, ..) => session,
        Request::Fetch(root) => {
            let sum =
                results.get(&root).ok_or_else(|| io::Error::other("asked for a sum that is not here"))?;
            return sum.serve(stream).await.map(|()| None);
        }
    };
    let expected = trusted.expected(from, &request).map_err(io::Error::other)?;
    let intake = intake
        .filter(|intake| intake.session() == session)
        .ok_or_else(|| io::Error::other("an upload for no session of mine"))?;
    let Expected { owner, by, .. } = expected;
    // the sender's last stream gives up its place
    let turn = intake.senders.turn(owner, by);
    let receive = async {
        if trusted.required.contains_key(&owner) {
            let is_here = || intake.find(&expected).is_some();
            let bytes = intake.layout().packed_len();
            let another = intake.senders.wait_for_another(owner, bytes, is_here);
            let waited = async {
                another.await;
                Ok(())
            };
            turn.until_over(waited).await?;
        }
        let _place = turn.until_over(places.place((by, owner == by))).await?;
        intake.receive(&turn, expected, stream).await
    };
    let received = ended.run_until_cancelled(receive).await;
    let root = received.ok_or_else(|| io::Error::other("the attempt ended before the upload did"))??;
    Ok(Some(Arrived { owner, root, from_owner: owner == by }))
}
