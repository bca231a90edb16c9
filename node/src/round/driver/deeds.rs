//! Outputs of the state machines, carried out in order; and what the jobs that they start come to.

use super::*;

impl Driver {
    pub(super) async fn both(&mut self, input: impl Fn() -> Input) {
        self.feed(Role::Aggregator, input()).await;
        self.feed(Role::Member, input()).await;
    }

    pub(super) async fn feed(&mut self, role: Role, input: Input) {
        self.drive(VecDeque::from([(role, input)]), Vec::new()).await;
    }

    /// Carries out outputs and feeds back what they lead to on this node, until nothing is left.
    pub(super) async fn drive(&mut self, mut inputs: VecDeque<(Role, Input)>, outputs: Vec<(Role, Output)>) {
        let mut outputs = VecDeque::from(outputs);
        loop {
            while let Some((role, output)) = outputs.pop_front() {
                if let Err(detail) = self.carry_out(role, output, &mut inputs).await {
                    outputs.clear();
                    inputs.push_front((role, Input::Done(Work::Failed(detail))));
                }
            }
            let Some((role, input)) = inputs.pop_front() else { break };
            let now = self.now();
            let Some(attempt) = &mut self.state.attempt else { return };
            outputs.extend(attempt.handle(role, input, now).into_iter().map(|output| (role, output)));
        }
        if self.state.attempt.as_ref().is_some_and(Attempt::is_over)
            && let Some(attempt) = self.state.attempt.take()
        {
            self.conclude(attempt).await;
        }
    }

    async fn carry_out(
        &mut self,
        role: Role,
        output: Output,
        inputs: &mut VecDeque<(Role, Input)>,
    ) -> Result<(), String> {
        match output {
            Output::Phase(phase) => self.phase(role, phase).await,
            Output::Journal(entry) => self.journal(entry)?,
            Output::Send(to, message) if to == self.state.me => {
                inputs.push_back((recipient(&message), Input::Message(to, message)));
            }
            Output::Send(to, message) => self.send(to, &message),
            Output::Upload(plan) => self.upload(plan),
            Output::Fetch(published) => self.fetch(&published),
            Output::Receive(session, members) => self.receive(session, members)?,
            Output::Unmask(survivors, plan) => self.unmask(survivors, *plan),
            Output::Fault(fault) => {
                if self.worth_a_warning() {
                    tracing::warn!(peer = %fault.who, phase = %fault.phase, fault = %fault.kind, "peer at fault");
                }
                self.observer.notify(NodeEvent::Fault(fault)).await;
            }
            Output::Finished(outcome) => self.finished(role, outcome).await,
        }
        Ok(())
    }

    async fn phase(&mut self, role: Role, phase: Phase) {
        let Some(attempt) = &mut self.state.attempt else { return };
        let Contract { round, attempt: number, slot, .. } = *attempt.terms.contract();
        if role == Role::Aggregator {
            attempt.phases.enter(Some(phase));
        }
        tracing::info!(round, attempt = number, slot, ?role, %phase, "phase");
        self.observer.notify(NodeEvent::Phase { round, attempt: number, slot, role, phase }).await;
    }

    fn journal(&mut self, entry: JournalEntry) -> Result<(), String> {
        self.ledger.journal(&entry).map_err(|error| error.to_string())?;
        if let JournalEntry::RosterAccepted { session, participants, keys, .. } = entry {
            Arc::make_mut(&mut self.state.seen).extend(keys);
            if let Some(attempt) = &mut self.state.attempt {
                attempt.session = Some(session);
                attempt.roster = participants;
            }
        }
        Ok(())
    }

    /// Never waits: an attempt sends a peer a few frames, so a full queue means one that does not read, and
    /// whoever waited for such a peer would let it hold up everybody.
    pub(super) fn send(&mut self, to: MemberId, message: &Message) {
        let sent = match codec::encode(message) {
            Ok(frame) => self.network.try_send(to, frame).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent
            && self.worth_a_warning()
        {
            tracing::warn!(%to, error, "control message not sent");
        }
    }

    /// Starts a job whose end the current attempt is told of.
    fn spawn(
        &mut self,
        role: Role,
        job: impl Future<Output = (Work, Option<Arc<encoding::Aggregate>>)> + Send + 'static,
    ) {
        let (generation, done) = (self.state.generation, self.state.done.0.clone());
        let Some(attempt) = &mut self.state.attempt else { return };
        attempt.jobs.spawn(async move {
            let (work, aggregate) = job.await;
            let _ = done.send(Done { attempt: generation, role, work, aggregate }).await;
        });
    }

    pub(super) async fn done(&mut self, done: Done) {
        if done.attempt != self.state.generation {
            return;
        }
        let Some(attempt) = &mut self.state.attempt else { return };
        if let Some(aggregate) = done.aggregate {
            attempt.aggregate = Some(aggregate);
        }
        if let Work::Received(member, _) = done.work {
            attempt.received.insert(member);
            let event = NodeEvent::Received {
                round: attempt.terms.contract().round,
                vectors: attempt.received.len(),
                expected: attempt.expected,
            };
            self.observer.notify(event).await;
        }
        if let Work::Failed(detail) = &done.work {
            tracing::error!(detail, "work of this attempt failed");
        }
        self.feed(done.role, Input::Done(done.work)).await;
    }

    fn upload(&mut self, plan: Arc<MaskPlan>) {
        let (Some(attempt), Some(pending)) = (&self.state.attempt, &self.state.pending) else { return };
        let Some(session) = attempt.session else { return };
        let source = Arc::new(Source {
            session,
            layout: attempt.terms.layout().clone(),
            input: pending.input.clone(),
            plan,
        });
        let (aggregator, me, network) = (attempt.terms.aggregator(), self.state.me, self.network.clone());
        if aggregator != me {
            self.spawn(Role::Member, async move {
                (Work::Uploaded(upload(source, aggregator, network).await), None)
            });
            return;
        }
        let Some(intake) = attempt.intake.clone() else { return };
        let (generation, done) = (self.state.generation, self.state.done.0.clone());
        self.spawn(Role::Aggregator, async move {
            match deposit(source, me, intake).await {
                Ok(root) => {
                    let work = Work::Uploaded(root);
                    let _ = done
                        .send(Done { attempt: generation, role: Role::Member, work, aggregate: None })
                        .await;
                    (Work::Received(me, root), None)
                }
                Err(error) => (Work::Failed(format!("my own vector: {error}")), None),
            }
        });
    }

    fn receive(
        &mut self,
        session: consort_protocol::ids::SessionId,
        members: Vec<MemberId>,
    ) -> Result<(), String> {
        let Some(attempt) = &mut self.state.attempt else { return Ok(()) };
        attempt.expected = members.len();
        let layout = attempt.terms.layout().clone();
        let intake = Intake::new(session, layout, members, self.results.folder())
            .map_err(|error| format!("no room for the members' vectors: {error}"))?;
        attempt.intake = Some(Arc::new(intake));
        Ok(())
    }

    pub(super) fn bulk(&mut self, from: MemberId, stream: BulkStream) {
        let intake = self.state.attempt.as_ref().and_then(|attempt| attempt.intake.clone());
        let ended = self.state.attempt.as_ref().map(|attempt| attempt.ended.clone()).unwrap_or_default();
        let (results, attempt, done) =
            (self.results.clone(), self.state.generation, self.state.done.0.clone());
        tokio::spawn(async move {
            match serve(stream, from, intake, &ended, &results).await {
                Ok(Some(root)) => {
                    let work = Work::Received(from, root);
                    let _ = done.send(Done { attempt, role: Role::Aggregator, work, aggregate: None }).await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%from, %error, "bulk stream ended early"),
            }
        });
    }

    fn unmask(&mut self, survivors: SurvivorSet, plan: MaskPlan) {
        let Some(attempt) = &self.state.attempt else { return };
        let Some(intake) = attempt.intake.clone() else { return };
        let (results, layout) = (self.results.clone(), attempt.terms.layout().clone());
        self.spawn(Role::Aggregator, async move {
            match results.sum(intake, layout, survivors, plan).await {
                Ok(root) => (Work::Summed(root), None),
                Err(error) => (Work::Failed(format!("the sum could not be computed: {error}")), None),
            }
        });
    }

    fn fetch(&mut self, published: &Published) {
        let Some(attempt) = &self.state.attempt else { return };
        let (terms, root) = (attempt.terms.clone(), published.sum.body.root);
        let survivors = published.certificate.survivors.0.len();
        let (network, results) = (self.network.clone(), self.results.clone());
        self.spawn(Role::Member, async move {
            let fetched = fetch(network, results, terms.layout().clone(), root, terms.aggregator()).await;
            let decoded = match fetched {
                Ok(sum) => blocking(move || sum.decode(&terms, survivors)).await,
                Err(error) => Err(error),
            };
            match decoded {
                Ok(aggregate) => (Work::Stored, Some(Arc::new(aggregate))),
                Err(error) => (Work::Failed(format!("the published sum: {error}")), None),
            }
        });
    }

    async fn finished(&mut self, role: Role, outcome: Outcome) {
        let Some(attempt) = &mut self.state.attempt else { return };
        if role == Role::Aggregator {
            attempt.phases.enter(None);
            let (round, phases_ms) = (attempt.terms.contract().round, attempt.phases.milliseconds().clone());
            if let Outcome::Completed { published, .. } = &outcome
                && let Ok(bytes) = codec::encode(&Message::Published(published.clone()))
            {
                self.network.publish(bytes);
            }
            self.observer.notify(NodeEvent::Aggregated { round, phases_ms }).await;
        } else {
            attempt.outcome = Some(outcome);
        }
    }
}
