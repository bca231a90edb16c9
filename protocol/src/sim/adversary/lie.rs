//! The lies by their names.

use core::{fmt, str::FromStr};

/// Whose lie it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// It is told while acting as aggregator.
    Aggregator,
    /// It is told while acting as an aggregator that has taken over from another.
    Successor,
    /// It is told while giving an input.
    Member,
}

/// No lie has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown lie `{found}`; the lies are {known}")]
pub struct UnknownLie {
    found: String,
    known: String,
}

macro_rules! lies {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $place:ident;)*) => {
        /// A way to misbehave.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Lie {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Lie {
            /// All lies, by phases.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name on command lines and in reports.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What whoever tells it does.
            #[must_use]
            pub const fn about(self) -> &'static str {
                let about = match self { $(Self::$name => concat!($($doc),+),)* };
                about.trim_ascii_start()
            }

            /// Whose lie it is.
            #[must_use]
            pub const fn place(self) -> Place {
                match self { $(Self::$name => Place::$place,)* }
            }
        }
    };
}

lies! {
    // advertise-keys
    /// Proposes no round in its own slot.
    NoContract = "no-contract", Aggregator;
    /// Proposes the round to half of the others.
    ContractToSome = "contract-to-some", Aggregator;
    /// Proposes a round for another question to half of the others, to tell their inputs apart.
    TwoContracts = "two-contracts", Aggregator;
    /// Does not advertise keys.
    NoAdvertisement = "no-advertisement", Member;
    /// Advertises under a signature that does not verify.
    ForgedAdvertisement = "forged-advertisement", Member;
    /// Advertises a second time, with other keys.
    TwoAdvertisements = "two-advertisements", Member;
    /// Advertises one key twice.
    RepeatedKey = "repeated-key", Member;
    /// Sends no roster.
    NoRoster = "no-roster", Aggregator;
    /// Sends the roster to half of the others.
    RosterToSome = "roster-to-some", Aggregator;
    /// Sends half of the others a second roster, without a victim.
    TwoRosters = "two-rosters", Aggregator;
    /// Leaves a victim off the roster.
    RosterWithoutVictim = "roster-without-victim", Aggregator;
    /// Puts somebody on the roster who is no member.
    RosterWithStranger = "roster-with-stranger", Aggregator;
    /// Puts a member on the roster twice.
    RosterWithClone = "roster-with-clone", Aggregator;
    /// Gives a victim other keys on the roster.
    AlteredRoster = "altered-roster", Aggregator;
    /// Makes a roster below the minimum.
    SmallRoster = "small-roster", Aggregator;
    /// Tries many rosters and takes the one whose session it likes best.
    Grinding = "grinding", Aggregator;

    // share-keys
    /// Deals no shares.
    NoShares = "no-shares", Member;
    /// Deals shares to half of the others.
    SharesToSome = "shares-to-some", Member;
    /// Deals shares that do not open.
    GarbledShares = "garbled-shares", Member;
    /// Deals shares that do not satisfy its commitments.
    WrongShares = "wrong-shares", Member;
    /// Deals under two polynomials, to one half of the others each.
    SplitDealing = "split-dealing", Member;
    /// Deals to everybody a second time under another polynomial.
    TwoDealings = "two-dealings", Member;
    /// Deals commitments to a secret that it has not advertised.
    OtherSecret = "other-secret", Member;
    /// Sends no receipt.
    NoReceipt = "no-receipt", Member;
    /// Confirms commitments that nobody dealt.
    FalseReceipt = "false-receipt", Member;
    /// Confirms a second time, with other commitments.
    TwoReceipts = "two-receipts", Member;
    /// Sends no mask set.
    NoMaskSet = "no-mask-set", Aggregator;
    /// Sends the mask set to half of the others.
    MaskSetToSome = "mask-set-to-some", Aggregator;
    /// Sends half of the others a second mask set, without a victim.
    TwoMaskSets = "two-mask-sets", Aggregator;
    /// Leaves a victim out of the mask set.
    MaskSetWithoutVictim = "mask-set-without-victim", Aggregator;
    /// Names other commitments of a victim in the mask set.
    AlteredMaskSet = "altered-mask-set", Aggregator;
    /// Makes a mask set below the minimum.
    SmallMaskSet = "small-mask-set", Aggregator;

    // masked-input
    /// Does not say which vector it sent.
    NoMaskedInput = "no-masked-input", Member;
    /// Signs the root of another vector than it sent.
    WrongRoot = "wrong-root", Member;
    /// Signs the roots of two vectors.
    TwoMaskedInputs = "two-masked-inputs", Member;
    /// Never confirms that it holds vectors.
    NoStandbyReceipt = "no-standby-receipt", Member;
    /// Asks nobody to hold vectors, and proposes without standbys.
    NoStandbys = "no-standbys", Aggregator;

    // consistency-check
    /// Proposes nothing.
    NoProposal = "no-proposal", Aggregator;
    /// Proposes to half of the others.
    ProposalToSome = "proposal-to-some", Aggregator;
    /// Proposes a second set, without a victim, to everybody.
    TwoProposals = "two-proposals", Aggregator;
    /// Proposes to end an attempt that could complete.
    NeedlessAbandonment = "needless-abandonment", Aggregator;
    /// Leaves a victim out of the survivors.
    ProposalWithoutVictim = "proposal-without-victim", Aggregator;
    /// Names another root of a victim.
    AlteredProposal = "altered-proposal", Aggregator;
    /// Proposes fewer survivors than the minimum.
    SmallProposal = "small-proposal", Aggregator;
    /// Does not vote.
    NoVote = "no-vote", Member;
    /// Votes under a signature that does not verify.
    ForgedVote = "forged-vote", Member;
    /// Votes for two values in one slot.
    TwoVotes = "two-votes", Member;
    /// Sends no certificate.
    NoCertificate = "no-certificate", Aggregator;
    /// Sends the certificate to half of the others.
    CertificateToSome = "certificate-to-some", Aggregator;

    // unmasking
    /// Asks for shares with one vote too few.
    ThinCertificate = "thin-certificate", Aggregator;
    /// Asks for shares of a set that nobody voted for.
    ForgedCertificate = "forged-certificate", Aggregator;
    /// Asks a second time, for the set without a victim.
    AskedTwice = "asked-twice", Aggregator;
    /// Proposes the set to one half and the set without a victim to the other, votes for both with all that
    /// conspire, and asks everybody for the shares of both.
    SplitView = "split-view", Aggregator;
    /// Reveals nothing.
    NoReveal = "no-reveal", Member;
    /// Reveals a wrong share.
    WrongReveal = "wrong-reveal", Member;
    /// Reveals the other kind of share of a victim.
    WrongKind = "wrong-kind", Member;
    /// Reveals a second time, something else.
    TwoReveals = "two-reveals", Member;

    // publish
    /// Publishes nothing.
    NoResult = "no-result", Aggregator;
    /// Publishes to half of the others.
    ResultToSome = "result-to-some", Aggregator;
    /// Publishes another sum than the survivors' vectors add up to.
    WrongSum = "wrong-sum", Aggregator;
    /// Publishes a sum with an element that no survivors' vectors can add up to.
    SumOutOfRange = "sum-out-of-range", Aggregator;
    /// Announces two sums of one set.
    TwoSums = "two-sums", Aggregator;
    /// Announces a sum that nobody has.
    LostSum = "lost-sum", Aggregator;
    /// Does not acknowledge the result.
    NoAcknowledgement = "no-acknowledgement", Member;

    // failover
    /// Ends its slot for half of the others, for no reason.
    FalseAbort = "false-abort", Aggregator;
    /// Gives up every slot as soon as there is a roster.
    EarlyTimeouts = "early-timeouts", Member;
    /// Never gives up a slot.
    NoTimeout = "no-timeout", Member;
    /// Reports no vote when it gives up a slot, although it cast one.
    HiddenVote = "hidden-vote", Member;
    /// Reports a vote for a set that nobody proposed.
    InventedVote = "invented-vote", Member;
    /// Claims that an attempt was abandoned.
    FalseAbandonment = "false-abandonment", Member;
    /// Opens its slot for half of the others.
    NewSlotToSome = "new-slot-to-some", Successor;
    /// Opens its slot with too few time-outs.
    ThinNewSlot = "thin-new-slot", Successor;
    /// Opens its slot twice, with different time-outs.
    TwoNewSlots = "two-new-slots", Successor;
    /// Proposes another set than the votes so far allow.
    OtherSet = "other-set", Successor;
    /// Leaves out the time-outs that report votes, and proposes another set.
    HiddenVotes = "hidden-votes", Successor;

    // all phases
    /// Says everything twice, and everything that it has ever said again later.
    Replay = "replay", Member;
    /// Sends what others have said as if it were its own.
    Impersonation = "impersonation", Member;
    /// Flips a bit of everything that it signs.
    BrokenSignatures = "broken-signatures", Member;
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Lie {
    type Err = UnknownLie;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|lie| lie.word() == word).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|lie| lie.word()).collect();
            UnknownLie { found: word.into(), known: known.join(", ") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lie_is_found_by_its_word() {
        for lie in Lie::ALL {
            assert_eq!(lie.word().parse(), Ok(*lie));
            assert!(lie.about().ends_with('.'));
        }
        assert!("honesty".parse::<Lie>().is_err());
    }
}
