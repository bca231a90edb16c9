//! How attempts and rounds end, and what is kept of them.

use super::*;

impl Driver {
    /// An attempt is over on this node.
    pub(super) async fn conclude(&mut self, attempt: Attempt) {
        let contract = attempt.terms.contract().clone();
        let mut record = AttemptRecord {
            attempt: contract.attempt,
            slot: contract.slot,
            aggregator: attempt.terms.aggregator(),
            outcome: "completed".into(),
            detail: None,
        };
        let roster = attempt.roster;
        match attempt.outcome {
            Some(Outcome::Completed { published, threshold }) => {
                self.state.attempts.push(record);
                let result = attempt.aggregate.map(|aggregate| RoundResult {
                    round: contract.round,
                    survivors: published.certificate.survivors.ids().collect(),
                    roster: roster.clone(),
                    aggregate,
                });
                tracing::info!(
                    round = contract.round,
                    survivors = published.certificate.survivors.0.len(),
                    "round completed"
                );
                self.end_round(
                    contract,
                    Some(*published),
                    threshold,
                    roster,
                    result.ok_or_else(|| "no aggregate".into()),
                )
                .await;
            }
            Some(Outcome::Aborted(reason)) => {
                tracing::warn!(round = contract.round, slot = contract.slot, %reason, "attempt without a result");
                record.outcome = reason.word().into();
                record.detail = Some(reason.to_string());
                if nothing_was_sent(&reason) && attempt.session.is_none() {
                    self.next_slot(record);
                } else {
                    self.state.attempts.push(record);
                    self.end_round(contract, None, 0, roster, Err(reason.to_string())).await;
                }
            }
            // its last words could not be journalled; what has left before is not known any more
            None => {
                let reason = "this node could not write its ledger";
                record.outcome = "local-failure".into();
                record.detail = Some(reason.into());
                self.state.attempts.push(record);
                self.end_round(contract, None, 0, roster, Err(reason.into())).await;
            }
        }
    }

    /// The slot's aggregator began nothing.
    pub(super) fn pass_over(&mut self, aggregator: MemberId) {
        let why = match self.state.peers.is_connected(&aggregator) {
            true => "proposed nothing when its turn came",
            false => "not connected when its turn came",
        };
        self.next_slot(AttemptRecord {
            attempt: 0,
            slot: self.state.gathering.slot,
            aggregator,
            outcome: "aggregator-lost".into(),
            detail: Some(format!("{why}; passed over before anything was sent")),
        });
    }

    fn next_slot(&mut self, record: AttemptRecord) {
        tracing::info!(round = self.state.gathering.round, slot = record.slot, aggregator = %record.aggregator, outcome = record.outcome, "next slot");
        self.state.attempts.push(record);
        self.state.gathering.next_slot();
    }

    pub(super) async fn fail_round(&mut self, reason: &str) {
        tracing::error!(round = self.state.gathering.round, reason, "round given up");
        let round = self.state.gathering.round;
        let attempts = std::mem::take(&mut self.state.attempts);
        self.begin_round(round.saturating_add(1));
        if let Some(pending) = self.state.pending.take() {
            let _ = pending.reply.send(Err(reason.into()));
        }
        self.publish_status();
        self.observer.notify(NodeEvent::RoundOver { round, attempts, roster: Vec::new() }).await;
    }

    async fn end_round(
        &mut self,
        contract: Contract,
        published: Option<Published>,
        threshold: usize,
        roster: Vec<MemberId>,
        result: Result<RoundResult, String>,
    ) {
        let round = contract.round;
        let attempts = std::mem::take(&mut self.state.attempts);
        let record = RoundRecord {
            round,
            attempts: attempts.clone(),
            contract: Some(contract),
            published,
            threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
        };
        if let Err(error) = self.ledger.record(&record) {
            tracing::error!(round, %error, "the round's record is not on disk");
        }
        self.begin_round(round.saturating_add(1));
        if let Some(pending) = self.state.pending.take() {
            let _ = pending.reply.send(result);
        }
        self.publish_status();
        self.observer.notify(NodeEvent::RoundOver { round, attempts, roster }).await;
    }

    pub(super) fn begin_round(&mut self, round: u64) {
        self.state.gathering = Gathering::new(&self.manifest, round);
        self.state.attempts.clear();
        self.publish_status();
    }
}

/// Whether an attempt ended before this member had told anybody more than a public key.
fn nothing_was_sent(reason: &AbortReason) -> bool {
    match reason {
        AbortReason::TooFewMembers { phase, .. }
        | AbortReason::AggregatorLost { phase }
        | AbortReason::Inconsistent { phase, .. }
        | AbortReason::Local { phase, .. }
        | AbortReason::LeftOut { phase }
        | AbortReason::AggregatorFailed { phase } => *phase == Phase::AdvertiseKeys,
    }
}
