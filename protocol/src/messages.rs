//! What members and aggregators say to each other, a file for each phase.
//!
//! Everything here is public in the sense of the protocol: shares travel only inside
//! [`share_keys::SealedShares`]. Decoding a message proves nothing; each receiver checks it in the file
//! of the same name under `member/` or `aggregator/`.

pub mod advertise_keys;
pub mod consistency_check;
pub mod failover;
pub mod masked_input;
pub mod publish;
pub mod reminder;
pub mod share_keys;
pub mod unmasking;

use serde::{Deserialize, Serialize};

use crate::{
    contract::Contract,
    evidence::Evidence,
    hash::Digest,
    manifest::SignedManifest,
    phase::Phase,
    report::AbortReason,
    signing::{Signed, Statement},
};

use advertise_keys::{Advertisement, Decline, Roster};
use consistency_check::{Certificate, Proposal, Vote};
use failover::{
    Abandonment, KnownCommitments, ShownNewSlot, ShownTimeout, StandbyReceipt, StandbyRequest, Timeout,
};
use masked_input::MaskedInput;
use publish::{Acknowledgement, Published};
use reminder::Reminder;
use share_keys::{DealtCommitments, MaskSet, Receipt, SealedShares};
use unmasking::Reveal;

/// Any control message of an attempt.
#[derive(Clone, Serialize, Deserialize)]
pub enum Message {
    /// Aggregator → all: what the round will do.
    Contract(Box<Signed<Contract>>),
    /// Member → aggregator: fresh keys.
    Advertise(Box<Signed<Advertisement>>),
    /// Member → aggregator: stays out, and why.
    Decline(Box<Signed<Decline>>),
    /// Aggregator → all on it: the roster.
    Roster(Box<Signed<Roster>>),
    /// Member → neighbour: one share of each secret.
    Shares(Box<SealedShares>),
    /// Member → aggregator: whose shares it holds, and its own commitments.
    Receipt(Box<Signed<Receipt>>, Box<DealtCommitments>),
    /// Aggregator → all on the roster: whose masks enter.
    MaskSet(Box<Signed<MaskSet>>),
    /// Member → aggregator: root of the vector that it uploaded.
    MaskedInput(Box<Signed<MaskedInput>>),
    /// Aggregator → mask set: the survivors.
    Proposal(Box<Signed<Proposal>>),
    /// Member → aggregator: consent to one survivor set.
    Vote(Box<Signed<Vote>>),
    /// Aggregator → mask set: enough votes.
    Certificate(Box<Certificate>),
    /// Member → aggregator: the shares that unmask the sum.
    Reveal(Box<Signed<Reveal>>),
    /// Aggregator → everybody: the result.
    Published(Box<Published>),
    /// Member → aggregator: the result is stored.
    Acknowledge(Box<Signed<Acknowledgement>>),
    /// Aggregator → all on the attempt: its slot ends without a result. A hint: nothing follows from it but
    /// not to wait.
    Abort(Box<Signed<Abort>>),
    /// Aggregator → all on the attempt with this contract: it is there, and waits for others.
    Alive(Digest),
    /// Member → the next aggregator: a slot is given up, and what has been voted for.
    Timeout(Box<ShownTimeout>),
    /// Member → all on the roster: a slot is given up.
    TimedOut(Box<Signed<Timeout>>),
    /// The next aggregator → all on the roster: its slot begins.
    NewSlot(Box<ShownNewSlot>),
    /// Member → an aggregator that took over: commitments that it has to have.
    Commitments(Box<KnownCommitments>),
    /// Aggregator → standby: which vectors it is to hold.
    Standby(Box<StandbyRequest>),
    /// Standby → aggregator: it holds them.
    StandbyReceipt(Box<Signed<StandbyReceipt>>),
    /// Anybody → anybody: an attempt is over without a result.
    Abandonment(Box<Abandonment>),
    /// Anybody → anybody: a member broke the protocol, in whatever round.
    Evidence(Box<Evidence>),
    /// Anybody → anybody: a next epoch, with the signatures that its sender has of it.
    Manifest(Box<SignedManifest>),
    /// Anybody → a member: what it said last itself.
    Reminder(Box<Reminder>),
}

impl Message {
    /// Whether it is the aggregator's to read; all others are for members.
    #[must_use]
    pub const fn is_for_aggregator(&self) -> bool {
        match self {
            Self::Advertise(_)
            | Self::Decline(_)
            | Self::Receipt(..)
            | Self::MaskedInput(_)
            | Self::Vote(_)
            | Self::Reveal(_)
            | Self::Acknowledge(_)
            | Self::Timeout(_)
            | Self::Commitments(_)
            | Self::StandbyReceipt(_) => true,
            Self::Contract(_)
            | Self::Roster(_)
            | Self::Shares(_)
            | Self::MaskSet(_)
            | Self::Proposal(_)
            | Self::Certificate(_)
            | Self::Published(_)
            | Self::Abort(_)
            | Self::Alive(_)
            | Self::TimedOut(_)
            | Self::NewSlot(_)
            | Self::Standby(_)
            | Self::Abandonment(_)
            | Self::Evidence(_)
            | Self::Manifest(_)
            | Self::Reminder(_) => false,
        }
    }
}

/// An aggregator's slot ends without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Digest of the attempt's contract.
    pub contract: Digest,
    /// The slot.
    pub slot: u32,
    /// The phase in which it ended.
    pub phase: Phase,
    /// Why.
    pub reason: AbortReason,
}

impl Statement for Abort {
    const CONTEXT: &'static str = "abort";
}
