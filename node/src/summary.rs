//! A round as people and programs read it: from the ledger, or from the API of a running node.

use consort_protocol::{
    encoding::Encoding, ids::MemberId, messages::advertise_keys::Roster, signing::Signed,
};
use serde::{Deserialize, Serialize};

use crate::{identity::peer_id, ledger::RoundRecord, round::status::reduction};

/// What is known of a round that is over. Members are named by their peer ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundSummary {
    /// The round.
    pub round: u64,
    /// `completed`, or a plain word for why there is no result.
    pub outcome: String,
    /// What this node saw of each aggregator's try, in order. Its own notes: nobody has signed them.
    pub attempts: Vec<Try>,
    /// What was to be summed, if this node got as far as a roster.
    pub task: Option<TaskSummary>,
    /// Who gave keys; empty where there is no result.
    pub roster: Vec<String>,
    /// Whose inputs are in the sum; empty where there is no result.
    pub survivors: Vec<String>,
    /// Those of the roster whose inputs are not.
    pub dropped: Vec<String>,
    /// The certificate, where there is a result.
    pub certificate: Option<CertificateSummary>,
}

/// One aggregator's try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// The attempt.
    pub attempt: u32,
    /// The slot.
    pub slot: u32,
    /// Whose turn it was.
    pub aggregator: String,
    /// `completed`, or a plain word.
    pub outcome: String,
    /// What went wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a round was for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// `sum`, `mean` or `weighted mean`.
    pub reduction: String,
    /// The label, where there is one.
    pub label: Option<String>,
    /// SHA-256 of the query, in hexadecimal, where there is one.
    pub query: Option<String>,
    /// The arrays.
    pub arrays: Vec<ArraySummary>,
}

/// One array of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArraySummary {
    /// Its sides.
    pub shape: Vec<u64>,
    /// Element type of the inputs.
    pub dtype: String,
    /// Clip of floats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

/// What shows that the survivors were agreed on. Digests are in hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateSummary {
    /// The session: hash of contract and roster.
    pub session: String,
    /// Slot of the votes.
    pub slot: u32,
    /// Who voted.
    pub votes: Vec<String>,
    /// Votes that were needed.
    pub threshold: u32,
    /// Who signed the sum.
    pub aggregator: String,
    /// Root of the sum.
    pub root: String,
}

impl RoundSummary {
    /// A round as the ledger has it.
    #[must_use]
    pub fn of(record: &RoundRecord, roster: Option<&Signed<Roster>>) -> Self {
        let published = record.published.as_ref();
        let survivors: Vec<MemberId> =
            published.map(|published| published.certificate.survivors.ids().collect()).unwrap_or_default();
        let roster: Vec<MemberId> = roster
            .filter(|_| published.is_some())
            .map(|roster| {
                roster.body.advertisements.iter().map(|advertisement| advertisement.signer).collect()
            })
            .unwrap_or_default();
        let last = record.attempts.last().map_or("no-attempt", |last| last.outcome.as_str());
        Self {
            round: record.round,
            outcome: if published.is_some() { "completed".into() } else { last.into() },
            attempts: record.attempts.iter().map(Try::of).collect(),
            task: record.contract.as_ref().map(|contract| TaskSummary::of(&contract.task)),
            dropped: names(roster.iter().filter(|id| survivors.binary_search(id).is_err())),
            roster: names(&roster),
            survivors: names(&survivors),
            certificate: published.map(|published| CertificateSummary {
                session: hex::encode(published.certificate.session.0),
                slot: published.certificate.slot,
                votes: names(published.certificate.votes.iter().map(|(id, _)| id)),
                threshold: record.threshold,
                aggregator: name(&published.sum.signer),
                root: hex::encode(published.sum.body.root),
            }),
        }
    }
}

impl Try {
    fn of(record: &crate::ledger::AttemptRecord) -> Self {
        Self {
            attempt: record.attempt,
            slot: record.slot,
            aggregator: name(&record.aggregator),
            outcome: record.outcome.clone(),
            detail: record.detail.clone(),
        }
    }
}

impl TaskSummary {
    /// A task in words.
    #[must_use]
    pub fn of(task: &consort_protocol::contract::Task) -> Self {
        let arrays = task.spec.leaves.iter().map(|leaf| ArraySummary {
            shape: leaf.shape.clone(),
            dtype: leaf.dtype.name().into(),
            clip: match leaf.encoding {
                Encoding::Fixed { clip, .. } => Some(clip),
                Encoding::Integer { .. } => None,
            },
        });
        Self {
            reduction: reduction(task.spec.reduction).into(),
            label: task.label.clone(),
            query: (task.query != [0; 32]).then(|| hex::encode(task.query)),
            arrays: arrays.collect(),
        }
    }
}

/// Members by their peer ids.
pub fn names<'a>(ids: impl IntoIterator<Item = &'a MemberId>) -> Vec<String> {
    ids.into_iter().map(name).collect()
}

/// A member by its peer id; its key, where that is none that a peer can have.
#[must_use]
pub fn name(id: &MemberId) -> String {
    peer_id(id).map_or_else(|_| hex::encode(id.0), |peer| peer.to_string())
}
