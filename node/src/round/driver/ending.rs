//! How rounds end, and what is kept of them.

use super::*;

/// Results that are kept for those who have missed them.
pub(crate) const RECENT: usize = 32;

impl Driver {
    /// A round is over on this node.
    pub(super) async fn conclude(&mut self, running: Running) {
        let round = running.round.number();
        let (roster, (attempt, slot), aggregator) =
            (running.roster(), running.round.place(), running.round.aggregator());
        let Running { outcome, terms, aggregate, mut attempts, session, sent, .. } = running;
        let contract = session.as_ref().map(|session| session.terms().contract().clone());
        match outcome {
            Some(Outcome::Completed { published, threshold }) => {
                let survivors: Vec<MemberId> = published.certificate.survivors.ids().collect();
                tracing::info!(round, survivors = survivors.len(), "round completed");
                let included = survivors.contains(&self.state.me);
                let result = self.aggregate(&published, terms, aggregate).await.map(|aggregate| {
                    RoundResult { round, survivors, roster: roster.clone(), included, aggregate }
                });
                self.state.recent.push_back((*published).clone());
                if self.state.recent.len() > RECENT {
                    self.state.recent.pop_front();
                }
                let record = RoundRecord {
                    round,
                    attempts,
                    contract,
                    published: Some(published.without_opening()),
                    threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
                };
                let proof = session.as_ref().map(|session| session.roster());
                self.end_round(record, proof, roster, round.saturating_add(1), Some(result)).await;
            }
            Some(Outcome::Aborted(reason)) => {
                tracing::warn!(round, %reason, "round without a result");
                let refused = matches!(reason, AbortReason::Refused { .. });
                if let Some(aggregator) = aggregator.filter(|_| refused) {
                    let (outcome, detail) = (reason.word().into(), Some(reason.to_string()));
                    attempts.push(AttemptRecord { attempt, slot, aggregator, outcome, detail });
                }
                // every attempt was abandoned by certificate, so the input is in no sum that anybody can have
                let unused = refused && self.take_up_again(round);
                if !unused && sent || matches!(reason, AbortReason::Local { .. }) {
                    return self
                        .end_without(round, attempts, contract, roster, sent, &reason.to_string())
                        .await;
                }
                // nothing of the input has left: it waits for the next round
                let record = RoundRecord { round, attempts, contract, published: None, threshold: 0 };
                self.end_round(record, None, roster, round.saturating_add(1), None).await;
            }
            // its last words could not be journalled; what has left before is not known any more
            None => {
                let reason = "this node could not write its ledger; free its disk and start it again";
                self.end_without(round, attempts, contract, roster, true, reason).await;
            }
        }
    }

    /// What a published sum stands for, if it is not the one that was read first.
    async fn aggregate(
        &self,
        published: &Published,
        terms: Arc<Terms>,
        read: Option<(Digest, Arc<encoding::Aggregate>)>,
    ) -> Result<Arc<encoding::Aggregate>, String> {
        let (root, survivors) = (published.sum.body.root, published.certificate.survivors.vectors.len());
        if let Some((_, aggregate)) = read.filter(|(of, _)| *of == root) {
            return Ok(aggregate);
        }
        let sum = self.results.get(&root).ok_or("the sum is not here any more")?;
        let read = blocking(move || sum.decode(&terms, survivors)).await;
        read.map(Arc::new).map_err(|error| format!("the sum cannot be read: {error}"))
    }

    /// The input goes on waiting although its masked vector has left. Gives whether its file says so.
    fn take_up_again(&mut self, round: u64) -> bool {
        let kept = self.state.pending.as_mut().and_then(|pending| pending.kept.as_mut());
        let Some(Err(error)) = kept.map(Kept::mark_unused) else { return true };
        tracing::error!(round, %error, "the input's file still says that it may have left");
        false
    }

    /// The others have gone on without this node.
    pub(super) async fn missed(&mut self, running: Running, next: u64) {
        let (round, roster) = (running.round.number(), running.roster());
        let Running { attempts, session, sent, .. } = running;
        let contract = session.map(|session| session.terms().contract().clone());
        let record = RoundRecord { round, attempts, contract, published: None, threshold: 0 };
        let reason = "the others have gone on to a later round; the input may be in the sum of this one";
        self.end_round(record, None, roster, next, sent.then(|| Err(reason.into()))).await;
    }

    /// Nothing good can come of a round any more.
    pub(super) async fn abandon(&mut self, running: Running, reason: &str) {
        let (round, roster) = (running.round.number(), running.roster());
        let Running { attempts, session, sent, .. } = running;
        let contract = session.map(|session| session.terms().contract().clone());
        self.end_without(round, attempts, contract, roster, sent, reason).await;
    }

    async fn end_without(
        &mut self,
        round: u64,
        attempts: Vec<AttemptRecord>,
        contract: Option<Contract>,
        roster: Vec<MemberId>,
        sent: bool,
        reason: &str,
    ) {
        let used =
            if sent { "the input may be known within one sum" } else { "nothing of the input has left" };
        let record = RoundRecord { round, attempts, contract, published: None, threshold: 0 };
        let result = Some(Err(format!("{reason}; {used}")));
        self.end_round(record, None, roster, round.saturating_add(1), result).await;
    }

    pub(super) async fn fail_round(&mut self, reason: &str) {
        let round = self.state.gathering.round;
        tracing::error!(round, reason, "round given up");
        self.end_without(round, Vec::new(), None, Vec::new(), false, reason).await;
    }

    /// Writes a round down, with the roster that its result refers to, and goes on. Without a `result` the input
    /// keeps waiting.
    async fn end_round(
        &mut self,
        record: RoundRecord,
        proof: Option<&Signed<Roster>>,
        roster: Vec<MemberId>,
        next: u64,
        result: Option<Result<RoundResult, String>>,
    ) {
        let round = record.round;
        if let Err(error) = self.ledger.record(&record, proof) {
            tracing::error!(round, %error, "the round's record is not on disk");
        }
        self.begin_round(next);
        // a node whose ledger takes no more ends: its next start reads from the input's file what may be done with it
        let lasts = self.ledger.broken().is_none();
        let result = result.filter(|result| lasts || result.is_ok());
        let answered = result.and_then(|result| Some((self.state.pending.take()?, result)));
        self.publish_status();
        // whoever looks on knows how the round went before the input's owner does
        self.observer.notify(NodeEvent::RoundOver { round, attempts: record.attempts, roster }).await;
        if let Some((pending, result)) = answered {
            let _ = pending.reply.send(result.map_err(SubmitError::Failed));
        }
    }

    pub(super) fn begin_round(&mut self, round: u64) {
        self.state.gathering = Gathering::new(&self.manifest, round);
        self.publish_status();
    }

    /// Whoever still waits for a result that is here gets it.
    pub(super) fn answer(&mut self, to: MemberId, session: &SessionId) -> bool {
        let found = self.state.recent.iter().find(|published| published.sum.body.session == *session);
        let Some(published) = found.cloned() else { return false };
        self.send(to, &Message::Published(Box::new(published)));
        true
    }
}
