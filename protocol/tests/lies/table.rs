//! The lies and how they end, with seven members of whom two may be corrupt.

use consort_protocol::{evidence::Crime, sim::Lie};

/// How a round ends for the honest members that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the right sum over so many, under the first aggregator.
    Result(usize),
    /// With the right sum over so many, under a later one or in a later attempt.
    Failover(usize),
    /// Without a result.
    Void,
}

use End::{Failover, Result, Void};

/// A lie, how the round may end, as what honest members refuse it, and what of it they can prove (one at
/// least).
type Line = (Lie, &'static [End], &'static [&'static str], &'static [Crime]);

pub(crate) const TABLE: &[Line] = &[
    (Lie::NoContract, &[Failover(7)], &[], &[]),
    (Lie::ContractToSome, &[Failover(7)], &[], &[]),
    // who gets the other contract declines it, and shows it to nobody
    (Lie::TwoContracts, &[Failover(7)], &[], &[]),
    (Lie::NoAdvertisement, &[Result(6)], &[], &[]),
    (Lie::ForgedAdvertisement, &[Result(6)], &["Signature"], &[]),
    (Lie::TwoAdvertisements, &[Result(7)], &["Equivocation"], &[Crime::TwoAdvertisements]),
    (Lie::RepeatedKey, &[Result(6)], &["Key"], &[]),
    (Lie::NoRoster, &[Failover(7)], &[], &[]),
    (Lie::RosterToSome, &[Failover(7), Failover(6)], &[], &[]),
    // nobody can tell which of the two sessions to give up
    (Lie::TwoRosters, &[Failover(5), Failover(6), Void], &["Altered", "Equivocation"], &[Crime::TwoRosters]),
    (Lie::RosterWithoutVictim, &[Result(6)], &[], &[]),
    (Lie::RosterWithStranger, &[Failover(6)], &["Stranger"], &[Crime::BadRoster]),
    (Lie::RosterWithClone, &[Failover(6)], &["Order"], &[Crime::BadRoster]),
    (Lie::AlteredRoster, &[Failover(6)], &["Signature"], &[Crime::BadRoster]),
    (Lie::SmallRoster, &[Failover(6)], &["TooFew"], &[Crime::BadRoster]),
    // within the minimums an aggregator may choose
    (Lie::Grinding, &[Result(5), Result(6), Result(7)], &[], &[]),
    (Lie::NoShares, &[Result(6)], &[], &[]),
    (Lie::SharesToSome, &[Result(6)], &[], &[]),
    (Lie::GarbledShares, &[Result(6)], &["Seal"], &[]),
    (Lie::WrongShares, &[Result(6)], &["Share"], &[Crime::BadShare]),
    // no receiver sees what another one got
    (Lie::SplitDealing, &[Result(6)], &[], &[]),
    (Lie::TwoDealings, &[Result(7)], &["Equivocation"], &[Crime::TwoDealings]),
    (Lie::OtherSecret, &[Result(6)], &["Commitments"], &[Crime::BadCommitments]),
    (Lie::NoReceipt, &[Result(6)], &[], &[]),
    // one confirmation less for everybody
    (Lie::FalseReceipt, &[Result(7)], &[], &[]),
    (Lie::TwoReceipts, &[Result(7)], &["Equivocation"], &[Crime::TwoReceipts]),
    (Lie::NoMaskSet, &[Failover(7)], &[], &[]),
    (Lie::MaskSetToSome, &[Failover(7)], &[], &[]),
    (Lie::TwoMaskSets, &[Failover(7)], &[], &[]),
    (Lie::MaskSetWithoutVictim, &[Result(6)], &[], &[]),
    (Lie::AlteredMaskSet, &[Failover(7)], &["Altered"], &[]),
    (Lie::SmallMaskSet, &[Failover(7)], &["TooFew"], &[Crime::BadMaskSet]),
    (Lie::NoMaskedInput, &[Result(6)], &[], &[]),
    (Lie::WrongRoot, &[Result(6)], &["Root"], &[]),
    (Lie::TwoMaskedInputs, &[Result(7)], &["Equivocation"], &[Crime::TwoMaskedInputs]),
    (Lie::NoStandbyReceipt, &[Result(7)], &[], &[]),
    (Lie::NoStandbys, &[Failover(7)], &["Standbys"], &[]),
    (Lie::NoProposal, &[Failover(7)], &[], &[]),
    (Lie::ProposalToSome, &[Failover(7)], &[], &[]),
    (Lie::TwoProposals, &[Result(7)], &["Equivocation"], &[Crime::TwoProposals]),
    // its own node votes for the set: two values in one slot
    (Lie::NeedlessAbandonment, &[Void, Failover(7)], &[], &[Crime::TwoProposals]),
    (Lie::ProposalWithoutVictim, &[Result(6)], &[], &[]),
    (Lie::AlteredProposal, &[Failover(7)], &["Altered", "Signature"], &[Crime::BadProposal]),
    (Lie::SmallProposal, &[Failover(7)], &["TooFew"], &[Crime::BadProposal]),
    (Lie::NoVote, &[Result(7)], &[], &[]),
    (Lie::ForgedVote, &[Result(7)], &["Signature"], &[]),
    (Lie::TwoVotes, &[Result(7)], &[], &[Crime::TwoVotes]),
    (Lie::NoCertificate, &[Failover(7)], &[], &[]),
    (Lie::CertificateToSome, &[Failover(7)], &[], &[]),
    (Lie::ThinCertificate, &[Failover(7)], &["Votes"], &[]),
    // the forger's own vote is on it
    (Lie::ForgedCertificate, &[Failover(7)], &["Votes"], &[Crime::HiddenVote, Crime::TwoVotes]),
    (Lie::AskedTwice, &[Result(7), Failover(7)], &["Votes"], &[Crime::HiddenVote, Crime::TwoVotes]),
    (Lie::SplitView, &[Void], &[], &[Crime::TwoProposals]),
    (Lie::NoReveal, &[Result(7)], &[], &[]),
    (Lie::WrongReveal, &[Result(7)], &["Share"], &[Crime::BadReveal]),
    (Lie::WrongKind, &[Result(7)], &["RevealKind"], &[Crime::BadReveal]),
    (Lie::TwoReveals, &[Result(7)], &[], &[Crime::TwoReveals]),
    (Lie::NoResult, &[Failover(7)], &[], &[]),
    (Lie::ResultToSome, &[Result(7), Failover(7)], &[], &[]),
    // whoever stands by adds up for himself; the others have taken it by then
    (Lie::WrongSum, &[Result(7)], &[], &[Crime::FalseSum]),
    // nobody can have taken it
    (Lie::SumOutOfRange, &[Failover(7)], &[], &[Crime::FalseSum]),
    (Lie::TwoSums, &[Result(7)], &[], &[Crime::TwoSums]),
    // whoever waits for a sum does not take another one
    (Lie::LostSum, &[Failover(7)], &[], &[]),
    (Lie::NoAcknowledgement, &[Result(7)], &[], &[]),
    (Lie::FalseAbort, &[Failover(7)], &[], &[]),
    // it votes all the same, against its promise
    (Lie::EarlyTimeouts, &[Result(7)], &[], &[Crime::HiddenVote]),
    (Lie::NoTimeout, &[Failover(7)], &[], &[]),
    (Lie::HiddenVote, &[Failover(7)], &[], &[Crime::HiddenVote]),
    (Lie::InventedVote, &[Failover(7)], &["Unproven"], &[Crime::HiddenVote]),
    // its own vote is in there, beside the one that it has cast
    (Lie::FalseAbandonment, &[Result(7)], &["Votes"], &[Crime::TwoVotes]),
    (Lie::NewSlotToSome, &[Failover(7)], &[], &[]),
    (Lie::ThinNewSlot, &[Failover(7)], &["Timeouts"], &[]),
    (Lie::TwoNewSlots, &[Failover(7)], &["Equivocation"], &[Crime::TwoNewSlots]),
    (Lie::OtherSet, &[Failover(7)], &["NotAllowed"], &[Crime::TwoProposals]),
    (Lie::HiddenVotes, &[Failover(7)], &["Timeouts"], &[]),
    (Lie::Replay, &[Result(7)], &["Author"], &[]),
    (Lie::Impersonation, &[Result(7)], &["Author"], &[]),
    (Lie::BrokenSignatures, &[Result(6)], &["Signature"], &[]),
];
