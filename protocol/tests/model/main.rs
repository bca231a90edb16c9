//! The rules of failover as a small model, and all its states (docs/model.md).
//!
//! The rules are those of `protocol/src/slots.rs` and `protocol/src/member/ballot.rs`: votes of one slot make
//! a certificate, a slot is opened by time-outs of a threshold, the highest slot that has a vote decides.
//!
//! # What is kept
//!
//! A state is what honest members have signed. A statement that was made stays made, and whoever wants may act
//! on it from then on: that is loss, delay and reordering in one. A member that says nothing more has crashed,
//! so crashes are no steps of their own; which members have crashed is chosen where the end of a session is
//! looked at. Corrupt members sign whatever their keys allow, whenever it helps, so what they have signed is
//! not kept: they vote for every value, and report no vote or any that they can show. Only their proposals are
//! kept, since those need the honest: time-outs, and receipts of standbys.
//!
//! # What is left out
//!
//! - Keys, shares and vectors. A proposal makes those vectors exist that it needs, and those who hold all of
//!   them are known. Unmasking follows a certificate.
//! - Following into a slot without voting in it: such a member can do nothing that one cannot do who has not
//!   followed.
//! - Two rosters or two mask sets of one attempt, which are evidence at once, and evidence itself beyond who
//!   signed two values of a slot.
//! - Clocks: a member may give up any slot at any time. Restarts: what a restarted member may still say, a
//!   slow one may, too.
//! - More than two survivor sets, and more than one further attempt.
//!
//! # Why it is small
//!
//! A member's own statements ascend: one vote in a slot, and none in or below one that it has given up or
//! left. What a slot opens with depends on lower slots only, votes on what the slot opened with, time-outs on
//! votes. So whatever can be said can be said slot by slot, in these steps, and only such runs are looked at.
//! Then a member's latest vote and highest time-out are enough, and members that hold no slot to come are
//! alike: they are put in order. `literal.rs` does nothing of this, and reaches the same.
//!
//! # What must hold
//!
//! `model.rs` has the properties, `completion.rs` says what it means not to be stuck, `traces.rs` breaks the
//! rules one by one.

mod completion;
mod exhaustive;
mod literal;
mod model;
mod rules;
mod session;
mod traces;
mod words;
