//! What this node does not consent to, and what others do not. What a contract may be at all is in
//! [`crate::consent`], which sets may be summed in `consort_protocol::guard`.

use super::*;
use crate::{
    clock,
    consent::{NoConsent, spent::Spent},
};
use consort_protocol::guard::{Guard, Refusal};

/// What is known of earlier rounds when the node starts.
pub(crate) struct Past {
    /// Sets whose sums may be known, with the labels of their data.
    pub(crate) cohorts: Vec<(String, Vec<MemberId>)>,
    /// Rounds of the last day, with the times of their rosters.
    pub(crate) spent: Vec<(u64, u64)>,
}

/// Somebody, perhaps this node, has said no.
#[derive(Clone)]
pub(crate) struct Declined {
    pub(crate) round: u64,
    pub(crate) who: MemberId,
    pub(crate) phase: Phase,
    pub(crate) reason: String,
}

/// What consent rests on while the node runs.
pub(super) struct Grounds {
    cohorts: BTreeMap<String, Vec<Vec<MemberId>>>,
    spent: Spent,
    /// Why the input that waits has no part in rounds for now; the others do not wait for it.
    held_back: Option<NoConsent>,
    /// Why no round is begun for the input that waits, though enough are ready.
    refusal: Option<Refusal>,
    /// The last ones that said no, the latest last.
    declined: VecDeque<Declined>,
}

impl Grounds {
    pub(super) fn new(past: Past) -> Self {
        let mut cohorts: BTreeMap<String, Vec<Vec<MemberId>>> = BTreeMap::new();
        for (label, members) in past.cohorts {
            cohorts.entry(label).or_default().push(members);
        }
        let (held_back, refusal, declined) = Default::default();
        Self { cohorts, spent: Spent::new(past.spent), held_back, refusal, declined }
    }

    /// What a journal entry that is on disk means for later rounds.
    pub(super) fn note(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Cohort { label, members } => {
                let known = self.cohorts.entry(label.clone()).or_default();
                if !known.contains(members) {
                    known.push(members.clone());
                }
            }
            JournalEntry::RosterAccepted { round, .. } => self.spent.spend(*round, clock::now()),
            _ => {}
        }
    }

    /// Why the input that waits is in no round, in words.
    pub(super) fn why_not(&self) -> Option<String> {
        let held_back = self.held_back.as_ref().map(ToString::to_string);
        held_back.or_else(|| self.refusal.as_ref().map(ToString::to_string))
    }

    pub(super) fn held_back(&self) -> Option<&NoConsent> {
        self.held_back.as_ref()
    }

    pub(super) fn declined(&self) -> impl Iterator<Item = &Declined> {
        self.declined.iter()
    }
}

impl Driver {
    /// The guard over data of this task's label.
    pub(super) fn guard(&self, task: &Task) -> Guard {
        let known = task.label.as_ref().and_then(|label| self.state.grounds.cohorts.get(label));
        Guard::new(self.consent.differ_by, known.into_iter().flatten().cloned())
    }

    /// Whether the input that waits is to have no part in rounds for now. It is looked at again in time.
    pub(super) fn hold_back(&mut self) -> bool {
        let Some(pending) = &self.state.pending else { return false };
        let grounds = &self.state.grounds;
        let is_new = pending.task.label.as_ref().is_some_and(|label| !grounds.cohorts.contains_key(label));
        let wait = self
            .consent
            .rounds_per_day
            .and_then(|per_day| Some((per_day, grounds.spent.wait(per_day, clock::now())?)));
        let found = match wait {
            Some((per_day, wait)) => {
                self.state.wake = Some(self.now() + wait);
                Some(NoConsent::Rounds(per_day))
            }
            None if is_new && grounds.cohorts.len() >= limits::MAX_GUARDED_LABELS => {
                Some(NoConsent::Labels(grounds.cohorts.len()))
            }
            None => None,
        };
        let holds = found.is_some();
        if found != grounds.held_back {
            match &found {
                Some(reason) => tracing::warn!(%reason, "the input that waits is held back"),
                None => tracing::info!("the input that waits is not held back any more"),
            }
            self.state.grounds.held_back = found;
            self.publish_status();
        }
        holds
    }

    /// Whether a round of those who are ready would come to nothing, because the guard lets no set of them through.
    pub(super) fn would_be_refused(&mut self) -> bool {
        let Some(pending) = &self.state.pending else { return false };
        let (task, round) = (&pending.task, self.state.gathering.round);
        let found = task.label.as_ref().and_then(|_| {
            let ready = self.state.peers.ready_for(round, &task.digest());
            let least = self.manifest.min_survivors(ready.len())?;
            self.guard(task).choose(&ready, least, self.manifest.corrupt()).err()
        });
        if found != self.state.grounds.refusal {
            if let Some(reason) = &found {
                tracing::warn!(round, %reason, "no round is begun with those who are ready");
            }
            self.state.grounds.refusal = found;
        }
        found.is_some()
    }

    /// The settings allow no round for the input that waits: its owner gets it back.
    pub(super) fn give_back(&mut self, reason: NoConsent) {
        tracing::warn!(%reason, "the input that waited is given back");
        if let Some(pending) = self.state.pending.take() {
            let _ = pending.reply.send(Err(SubmitError::Consent(reason)));
        }
        self.publish_status();
    }

    /// Keeps what may pass a turn in a round that has not begun on this node. It is small, and one of each member.
    pub(super) fn keep_pass(&mut self, from: MemberId, abort: &Signed<Abort>) {
        let reason = &abort.body.reason;
        let is_small = *reason == reason.clone().from_peer(Phase::AdvertiseKeys);
        if abort.signer == from && is_small && matches!(reason, AbortReason::Refused { .. }) {
            self.state.passes.insert(from, Box::new(abort.clone()));
        }
    }

    /// Somebody said no.
    pub(super) async fn declined(&mut self, who: MemberId, phase: Phase, reason: String) {
        let warn = self.worth_a_warning();
        let (me, Some(running)) = (self.state.me, &mut self.state.running) else { return };
        let round = running.round.number();
        if who == me {
            tracing::warn!(round, %phase, reason, "this node says no");
            let (attempt, slot) = running.round.place();
            if let Some(aggregator) = running.round.aggregator() {
                let (outcome, detail) = ("declined".into(), Some(reason.clone()));
                running.attempts.push(AttemptRecord { attempt, slot, aggregator, outcome, detail });
            }
        } else if phase == Phase::AdvertiseKeys && warn {
            // most have only nothing to give, or something else
            tracing::info!(round, peer = %who, %phase, reason, "a member says no");
        } else if warn {
            tracing::warn!(round, peer = %who, %phase, reason, "a member says no");
        }
        let declined = &mut self.state.grounds.declined;
        declined.push_back(Declined { round, who, phase, reason: reason.clone() });
        if declined.len() > limits::DECLINED_KEPT {
            declined.pop_front();
        }
        self.observer.notify(NodeEvent::Declined { round, who, phase, reason }).await;
    }
}
