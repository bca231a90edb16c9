//! Checks that a test may take out, to show what each of them is good for (docs/mutation.md).
//!
//! Every place that makes a check of the protocol asks [`checked`] whether it counts. Without the feature
//! `mutations` the answer is a constant, and nothing of this is left in the program. With it, checks can be
//! taken out for one thread, by a test that links this crate; no message, file or flag reaches this, and a
//! release build with the feature does not compile.
#![cfg_attr(not(feature = "mutations"), allow(unreachable_pub))]

/// A check of docs/protocol.md. One that is made in several places is taken out in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Check {
    /// Whoever is on a roster is a member of the manifest.
    RosterMembers,
    /// A roster has at least the minimum of participants.
    MinParticipants,
    /// The threshold is a quorum of all members, however few are on the roster.
    QuorumOfAll,
    /// Each advertisement on a roster carries its member's signature.
    AdvertisementSignature,
    /// My own advertisement is on the roster as I signed it: where it is accepted, and where one only looks on.
    OwnAdvertisement,
    /// Commitments begin with the advertised point: at the receiver, at the aggregator, at its successor.
    AdvertisedSecret,
    /// Both shares that I am dealt satisfy their dealer's commitments.
    DealtShares,
    /// Whoever is in the mask set is on the roster.
    MaskSetMembers,
    /// I hold verified shares of a threshold of the mask set's dealers.
    SharesHeld,
    /// A member signs one root in a session.
    OneVector,
    /// The root of a vector is computed from what was received.
    VectorRoot,
    /// A survivor's statement is for the mask set that the others accepted.
    SameMaskSet,
    /// A certificate is for the mask set that I accepted, or that comes with the result.
    CertifiedMaskSet,
    /// A survivor signed the root of its vector.
    SurvivorSignature,
    /// Survivors are in the mask set: in a proposal and in a certificate.
    SurvivorsInMaskSet,
    /// No survivor is listed twice: in a proposal and in a certificate.
    SurvivorsDistinct,
    /// Enough survivors: in a mask set, a proposal and a certificate.
    MinSurvivors,
    /// If I am a survivor, then with the root that I signed: in a proposal and in a certificate.
    OwnRoot,
    /// A set of a label's data is one that was summed before, or far from all that were: where it is voted for, where
    /// shares are revealed, and where it is proposed.
    DifferencingGuard,
    /// A member votes once in a slot.
    OneVote,
    /// A certificate, of survivors or to abandon, has a threshold of votes.
    EnoughVotes,
    /// A certificate is of this session.
    CertificateSession,
    /// A vote carries its voter's signature on this value, slot and session.
    VoteSignature,
    /// No voter counts twice.
    VotersDistinct,
    /// Whoever votes for survivors is in the mask set.
    VotersInMaskSet,
    /// No vote in a slot that I have given up, nor following into one.
    Promise,
    /// Only what may have been certified before is voted for in a later slot.
    AllowedValue,
    /// A slot opens with time-outs of a threshold.
    EnoughTimeouts,
    /// The time-outs that open a slot are for the one before.
    TimeoutSlot,
    /// A time-out carries its author's signature.
    TimeoutSignature,
    /// Nobody's time-out counts twice.
    TimeoutsDistinct,
    /// Whoever times out is on the roster.
    TimeoutMembers,
    /// A vote that a time-out reports is shown with its proposal and what allowed that.
    ReportedVotes,
    /// A fresh attempt begins with the abandonment certificate of the one before.
    AbandonmentCertificate,
    /// Of each dealer the kind of share is revealed that the certified set asks for.
    RevealedKind,
    /// A reconstructed secret is the one committed to: at the aggregator, and where a result shows it.
    ReconstructedSecret,
    /// A result comes with a valid certificate.
    ResultCertificate,
    /// A result is signed by the aggregator of the certificate's slot.
    ResultAuthor,
    /// A published sum is what the vectors add up to, for those who hold them.
    CheckedSum,
}

/// Whether a check is made: always, unless a test has taken it out.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn checked(_: Check) -> bool {
    true
}

#[cfg(feature = "mutations")]
pub use removed::Removed;
#[cfg(feature = "mutations")]
pub(crate) use removed::checked;

#[cfg(feature = "mutations")]
mod removed {
    use core::{cell::Cell, marker::PhantomData};

    use super::Check;

    thread_local! {
        /// One bit for each check that is taken out.
        static REMOVED: Cell<u64> = const { Cell::new(0) };
    }

    /// Checks are taken out on this thread for as long as this lives.
    #[must_use]
    pub struct Removed {
        before: u64,
        /// Of the thread on which it was made.
        not_send: PhantomData<*const ()>,
    }

    impl Removed {
        /// Takes these checks out, beside those that are out already.
        pub fn new(checks: &[Check]) -> Self {
            let before = REMOVED.get();
            REMOVED.set(checks.iter().fold(before, |bits, check| bits | bit(*check)));
            Self { before, not_send: PhantomData }
        }
    }

    impl Drop for Removed {
        fn drop(&mut self) {
            REMOVED.set(self.before);
        }
    }

    pub(crate) fn checked(check: Check) -> bool {
        REMOVED.get() & bit(check) == 0
    }

    const fn bit(check: Check) -> u64 {
        1 << check as u8
    }
}
