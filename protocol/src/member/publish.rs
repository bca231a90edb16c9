//! `publish`: the result with its certificate, fetched, stored and acknowledged.
//!
//! A result is accepted, from whoever passes it on, when [`check_published`] accepts it, which is
//! 1. the aggregator of the certificate's slot signed it for this session;
//! 2. its certificate is valid, and for the set that the result names;
//! 3. its mask set is one of this session, and the one that the certificate names;
//!
//! and
//! 4. the secrets that it shows are those whose points were advertised, and its author shows them.
//!
//! Whoever holds all vectors of the set, a standby, adds them up itself before it acknowledges; it takes no result
//! that does not show the secrets. Whoever does not hold them takes no sum that is out of range, and looks to the next
//! aggregator.

use crate::{
    certificate::{AcceptedMaskSet, check_published},
    evidence::{Breach, Disproof, Evidence},
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    io::{JournalEntry, Now, Output},
    messages::{
        Message,
        publish::{Acknowledgement, Published},
    },
    mutation::{Check, checked},
    phase::Phase,
    report::{AbortReason, Outcome},
    roster::Session,
    seat::{Outputs, Seat, send},
};

use super::{Member, State};

/// A result whose sum is on its way, or here and not taken yet.
pub(super) struct Fetching {
    pub(super) published: Published,
    /// Whether the sum that is here can be read.
    pub(super) here: Option<Result<(), String>>,
}

pub(super) fn check(session: &Session, from: MemberId, published: &Published) -> Result<(), FaultKind> {
    let shown = check_published(session, published)?;
    match &published.opening {
        Some(opening) => opening.check(session, &shown, &published.certificate.survivors).map(drop),
        None if from == published.sum.signer => Err(FaultKind::Opening),
        None => Ok(()),
    }
}

/// The sum is here: whoever holds the vectors adds them up.
pub(super) fn audit(session: &Session, published: &Published, out: &mut Outputs) -> Result<(), FaultKind> {
    let mask_set = AcceptedMaskSet::check(session, &published.mask_set)?;
    let opening = published.opening.as_ref().ok_or(FaultKind::Opening)?;
    let plan = opening.plan(session, &mask_set, &published.certificate.survivors)?;
    out.push(Output::Audit(Box::new(published.clone()), Box::new(plan)));
    Ok(())
}

impl Member {
    /// A sum is here as it was announced. Whoever can adds it up, whether it can be read or not.
    pub(super) fn sum_is_here(
        &mut self,
        root: &Digest,
        readable: Result<(), String>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        let State::Playing(playing) = &mut self.state else { return Ok(()) };
        let phase = playing.phase();
        let Some(fetching) = playing.fetching.get_mut(root) else { return Ok(()) };
        fetching.here = Some(readable.clone());
        let Some(Fetching { published, .. }) = playing.fetching.get(root) else { return Ok(()) };
        if playing.audits(&self.seat, published) && checked(Check::CheckedSum) {
            // the secrets may have come with none of the copies yet
            return match published.opening {
                Some(_) => audit(&playing.session, published, out)
                    .map_err(|kind| AbortReason::Inconsistent { phase, detail: kind.to_string() }),
                None => Ok(()),
            };
        }
        match readable {
            Ok(()) => self.take(root, out),
            Err(detail) => {
                let reason = AbortReason::Inconsistent { phase, detail: detail.clone() };
                let authors = self.nobody_takes(root, reason, now, out);
                // one of them is honest
                if authors > self.seat.terms.manifest().corrupt() {
                    Err(wrong_input(&detail))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The sum is false: everybody is shown why, and this member does not take it.
    pub(super) fn disproved(
        &mut self,
        root: &Digest,
        disproof: Box<Disproof>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), AbortReason> {
        let State::Playing(playing) = &mut self.state else { return Ok(()) };
        let Some(Fetching { published, here }) = playing.fetching.get(root) else { return Ok(()) };
        let breach = Breach::Sum(Box::new(published.clone()), disproof);
        out.extend(Evidence::breach(&playing.session, breach).map(|it| Output::Evidence(Box::new(it))));
        match here {
            Some(Err(_)) => {
                self.nobody_takes(root, AbortReason::FalseSum, now, out);
                Ok(())
            }
            // those who cannot add up have taken it
            Some(Ok(())) | None => Err(AbortReason::FalseSum),
        }
    }

    /// A sum that cannot be read: the next aggregator is to publish another one. Gives how many have signed it.
    fn nobody_takes(&mut self, root: &Digest, reason: AbortReason, now: Now, out: &mut Outputs) -> usize {
        let State::Playing(playing) = &mut self.state else { return 0 };
        let Some(fetching) = playing.fetching.remove(root) else { return 0 };
        let author = fetching.published.sum.signer;
        playing.unreadable.insert(author, *root);
        let authors = playing.unreadable.values().filter(|unreadable| *unreadable == root).count();
        if author == self.seat.aggregator() {
            self.slot_over(reason, now, out);
        }
        authors
    }

    /// A sum that I have added up myself is right; if it is none of values that inputs may have, then one of the
    /// inputs was none, and no other aggregator can do better.
    pub(super) fn audited(&mut self, root: &Digest, out: &mut Outputs) -> Result<(), AbortReason> {
        let State::Playing(playing) = &self.state else { return Ok(()) };
        let here = playing.fetching.get(root).and_then(|fetching| fetching.here.clone());
        match here {
            Some(Err(detail)) => Err(wrong_input(&detail)),
            Some(Ok(())) => self.take(root, out),
            None => Ok(()),
        }
    }

    fn take(&mut self, root: &Digest, out: &mut Outputs) -> Result<(), AbortReason> {
        let State::Playing(playing) = &mut self.state else { return Ok(()) };
        let Some(Fetching { published, .. }) = playing.fetching.remove(root) else { return Ok(()) };
        let stored = stored(&self.seat, &playing.session, published, out);
        self.state = State::Closed;
        stored
    }
}

/// The sum is right and out of range: no other aggregator can do better.
fn wrong_input(detail: &str) -> AbortReason {
    let detail = format!("a member's input is not what it has to be: {detail}");
    AbortReason::Inconsistent { phase: Phase::Publish, detail }
}

/// The sum is here: whoever announced it hears of it, and the attempt is over.
fn stored(
    seat: &Seat,
    session: &Session,
    published: Published,
    out: &mut Outputs,
) -> Result<(), AbortReason> {
    let (id, root) = (session.id(), published.sum.body.root);
    let acknowledgement = seat.sign(Acknowledgement { session: id, root })?;
    out.push(Output::Journal(JournalEntry::Acknowledged(id, root)));
    let message = Message::Acknowledge(Box::new(acknowledgement));
    if seat.aggregator() != published.sum.signer {
        send(out, seat.aggregator(), message.clone());
    }
    send(out, published.sum.signer, message);
    let threshold = session.threshold().get();
    out.push(Output::Finished(Outcome::Completed { published: Box::new(published), threshold }));
    Ok(())
}
