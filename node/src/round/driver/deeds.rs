//! Outputs of the state machines, carried out in order; and what the jobs that they start come to.

use super::*;
use crate::round::bulk::is_of_disk;

impl Driver {
    pub(super) async fn feed(&mut self, input: Input) {
        let now = self.now();
        let Some(running) = &mut self.state.running else { return };
        let deeds = running.handle(input, now);
        self.drive(deeds).await;
    }

    /// Carries out outputs and feeds back what they lead to on this node, until nothing is left.
    pub(super) async fn drive(&mut self, deeds: Deeds) {
        let mut deeds = VecDeque::from(deeds);
        let mut mine = VecDeque::new();
        loop {
            #[cfg(feature = "lies")]
            self.spy();
            while let Some((role, output)) = deeds.pop_front() {
                if let Err(detail) = self.carry_out(role, output, &mut mine).await {
                    let round = self.state.running.as_ref().map(|running| running.round.number());
                    tracing::error!(round, ?role, detail, "this node cannot do its part in the round");
                    // nothing that follows from what could not be done may leave
                    deeds.clear();
                    let now = self.now();
                    let Some(running) = &mut self.state.running else { return };
                    deeds.extend(running.failed(role, detail, now));
                }
            }
            let Some(input) = mine.pop_front() else { break };
            let now = self.now();
            let Some(running) = &mut self.state.running else { return };
            deeds.extend(running.handle(input, now));
        }
        if self.state.running.as_ref().is_some_and(|running| running.round.is_over())
            && let Some(running) = self.state.running.take()
        {
            self.conclude(running).await;
        }
    }

    async fn carry_out(
        &mut self,
        role: Role,
        output: Output,
        mine: &mut VecDeque<Input>,
    ) -> Result<(), String> {
        match output {
            Output::Phase(phase) => self.phase(role, phase).await,
            Output::Journal(entry) => self.journal(entry)?,
            Output::Send(to, message) if to == self.state.me => {
                #[cfg(feature = "lies")]
                self.lie_to(to, &message);
                mine.push_back(Input::Message(to, message));
            }
            Output::Send(to, message) => self.send(to, &message),
            Output::Announce(message) => {
                if let Ok(bytes) = codec::encode(&*message) {
                    self.network.publish(bytes);
                }
            }
            Output::Upload(plan, to) => self.upload(plan, to),
            Output::Fetch(published) => self.fetch(&published),
            Output::Receive(session, members) => mine.extend(self.receive(role, session, members)?),
            Output::PassOn { vector, root, to } => self.pass_on(vector, root, to),
            Output::Unmask(survivors, plan) => self.unmask(survivors, *plan),
            Output::Audit(published, plan) => self.audit(&published, *plan),
            Output::Declined { who, phase, reason } => self.declined(who, phase, reason).await,
            Output::Fault(fault) => {
                if self.worth_a_warning() {
                    tracing::warn!(peer = %fault.who, phase = %fault.phase, fault = %fault.kind, "peer at fault");
                }
                self.observer.notify(NodeEvent::Fault(fault)).await;
            }
            Output::Evidence(evidence) => Box::pin(self.evidence(*evidence, None)).await,
            Output::SlotOver { attempt, slot, aggregator, reason } => {
                self.slot_over(attempt, slot, aggregator, &reason);
            }
            Output::Finished(outcome) => self.finished(role, outcome).await,
        }
        Ok(())
    }

    async fn phase(&mut self, role: Role, phase: Phase) {
        let Some(running) = &mut self.state.running else { return };
        let round = running.round.number();
        let (attempt, slot) = running.round.place_of(role);
        if role == Role::Aggregator {
            running.phases.enter(Some(phase));
        }
        tracing::info!(round, attempt, slot, ?role, %phase, "phase");
        self.observer.notify(NodeEvent::Phase { round, attempt, slot, role, phase }).await;
    }

    fn slot_over(&mut self, attempt: u32, slot: u32, aggregator: MemberId, reason: &AbortReason) {
        let Some(running) = &mut self.state.running else { return };
        let round = running.round.number();
        tracing::warn!(round, attempt, slot, %aggregator, %reason, "slot given up");
        running.attempts.push(AttemptRecord {
            attempt,
            slot,
            aggregator,
            outcome: reason.word().into(),
            detail: Some(reason.to_string()),
        });
    }

    fn journal(&mut self, entry: JournalEntry) -> Result<(), String> {
        // whatever becomes of this process, the input is not taken for an unused one again
        if let (JournalEntry::UploadStarted(_), Some(running)) = (&entry, &self.state.running)
            && let Some(kept) = self.state.pending.as_mut().and_then(|pending| pending.kept.as_mut())
        {
            kept.mark_sent(running.round.number()).map_err(|error| format!("the input's file: {error}"))?;
        }
        self.ledger.journal(&entry).map_err(|error| error.to_string())?;
        self.state.grounds.note(&entry);
        if let JournalEntry::Joined { round, attempt, slot } = entry {
            self.state.own_words.joined(round, attempt, slot);
        }
        let Some(running) = &mut self.state.running else { return Ok(()) };
        match entry {
            JournalEntry::RosterAccepted { keys, .. } => {
                Arc::make_mut(&mut self.state.seen).extend(keys);
                running.enter_session();
                if let Some(session) = &running.session {
                    self.state.reminders.note(session.terms().contract(), &session.roster().body);
                }
            }
            JournalEntry::UploadStarted(_) => running.sent = true,
            _ => {}
        }
        Ok(())
    }

    /// Never waits: a round sends a peer a few frames, so a full queue means one that does not read, and
    /// whoever waited for such a peer would let it hold up everybody.
    pub(super) fn send(&mut self, to: MemberId, message: &Message) {
        #[cfg(feature = "lies")]
        if self.lie_to(to, message) {
            return;
        }
        self.transmit(to, message);
    }

    pub(super) fn transmit(&mut self, to: MemberId, message: &Message) {
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

    /// Starts a job whose end the current session is told of.
    fn spawn(
        &mut self,
        role: Role,
        job: impl Future<Output = (Work, Option<Arc<encoding::Aggregate>>)> + Send + 'static,
    ) -> Option<tokio::task::AbortHandle> {
        let (generation, done) = (self.state.generation, self.state.done.0.clone());
        let running = self.state.running.as_mut()?;
        let session = running.session.as_ref()?.id();
        Some(running.jobs.spawn(async move {
            let (work, aggregate) = job.await;
            let _ = done.send(Done { generation, session, role, work, aggregate }).await;
        }))
    }

    pub(super) async fn done(&mut self, done: Done) {
        if done.generation != self.state.generation {
            return;
        }
        let Some(running) = self.state.running.as_mut().filter(|running| running.is_in(done.session)) else {
            return;
        };
        if let (Work::Stored(root), Some(aggregate)) = (&done.work, done.aggregate) {
            running.aggregate.get_or_insert((*root, aggregate));
        }
        match done.work {
            Work::Failed(detail) => {
                let round = running.round.number();
                tracing::error!(round, role = ?done.role, detail, "this node cannot do its part in the round");
                let now = self.now();
                let Some(running) = &mut self.state.running else { return };
                let deeds = running.failed(done.role, detail, now);
                self.drive(deeds).await;
            }
            work @ (Work::Received(member, root) | Work::PassedOn(member, root)) => {
                running.received.insert(member);
                let acts = running.round.phase(Role::Aggregator).is_some();
                let event = NodeEvent::Received {
                    round: running.round.number(),
                    vectors: running.received.len(),
                    expected: running.expected,
                };
                if acts {
                    self.observer.notify(event).await;
                }
                // whoever aggregates sums it up, whoever stands by holds it
                self.feed(Input::Done(Work::Held(member, root))).await;
                self.feed(Input::Done(work)).await;
            }
            work => {
                if let Work::Uploaded(_, root) = work {
                    running.root = Some(root);
                }
                self.feed(Input::Done(work)).await;
            }
        }
    }

    fn upload(&mut self, plan: Arc<MaskPlan>, to: MemberId) {
        let (Some(running), Some(pending)) = (&mut self.state.running, &self.state.pending) else { return };
        let Some(session) = running.session.as_ref().map(|session| session.id()) else { return };
        if let Some(earlier) = running.upload.take() {
            earlier.abort();
        }
        let source = Arc::new(Source {
            session,
            layout: running.terms.layout().clone(),
            input: pending.input.clone(),
            plan,
            root: running.root,
        });
        running.source = Some(source.clone());
        let (me, network, intake) = (self.state.me, self.network.clone(), running.intake.clone());
        let job = if to != me {
            self.spawn(
                Role::Member,
                async move { (Work::Uploaded(to, upload(source, to, network).await), None) },
            )
        } else if let Some(intake) = intake {
            let (generation, done) = (self.state.generation, self.state.done.0.clone());
            self.spawn(Role::Aggregator, async move {
                match deposit(source, me, intake).await {
                    Ok(root) => {
                        let work = Work::Uploaded(me, root);
                        let _ = done
                            .send(Done { generation, session, role: Role::Member, work, aggregate: None })
                            .await;
                        (Work::Received(me, root), None)
                    }
                    Err(error) => (Work::Failed(format!("my own vector: {error}")), None),
                }
            })
        } else {
            None
        };
        if let Some(running) = &mut self.state.running {
            running.upload = job;
        }
    }

    fn unmask(&mut self, survivors: SurvivorSet, plan: MaskPlan) {
        let Some(running) = &self.state.running else { return };
        let Some(intake) = running.intake.clone() else { return };
        let (results, layout) = (self.results.clone(), running.terms.layout().clone());
        #[cfg(feature = "lies")]
        let falsehood = self.falsehood();
        self.spawn(Role::Aggregator, async move {
            let summed = results.clone().sum(intake, layout, survivors, plan).await;
            #[cfg(feature = "lies")]
            let summed = summed.and_then(|root| match falsehood {
                Some(falsehood) => results.falsify(&root, falsehood),
                None => Ok(root),
            });
            match summed {
                Ok(root) => (Work::Summed(root), None),
                Err(error) => (Work::Failed(format!("the sum could not be computed: {error}")), None),
            }
        });
    }

    fn audit(&mut self, published: &Published, plan: MaskPlan) {
        let Some(running) = &self.state.running else { return };
        let (root, survivors) = (published.sum.body.root, published.certificate.survivors.clone());
        let (me, intake, source) = (self.state.me, running.intake.clone(), running.source.clone());
        let sum = self.results.get(&root);
        self.spawn(Role::Member, async move {
            let missing = |what| std::io::Error::other(format!("{what} is not here"));
            let audited = async {
                let intake = intake.ok_or_else(|| missing("what it is the sum of"))?;
                // mine went elsewhere
                if survivors.contains(&me) {
                    let source = source.ok_or_else(|| missing("my own vector"))?;
                    deposit(source, me, intake.clone()).await?;
                }
                audit(intake, sum.ok_or_else(|| missing("it"))?, survivors, plan).await
            };
            let work = match audited.await {
                Ok(None) => Work::Audited(root),
                Ok(Some(disproof)) => Work::Disproved(root, Box::new(disproof)),
                Err(error) => Work::Failed(format!("the published sum could not be checked: {error}")),
            };
            (work, None)
        });
    }

    fn fetch(&mut self, published: &Published) {
        let Some(running) = &self.state.running else { return };
        let (terms, root) = (running.terms.clone(), published.sum.body.root);
        let (survivors, from) = (published.certificate.survivors.vectors.len(), published.sum.signer);
        let (network, results, reading) =
            (self.network.clone(), self.results.clone(), running.reading.clone());
        self.spawn(Role::Member, async move {
            let sum = match fetch(network, results, terms.layout().clone(), root, from).await {
                Ok(sum) => sum,
                Err(error) => return (Work::Failed(format!("the published sum: {error}")), None),
            };
            let _turn = reading.lock().await;
            match blocking(move || sum.decode(&terms, survivors)).await {
                Ok(aggregate) => (Work::Stored(root), Some(Arc::new(aggregate))),
                Err(error) if is_of_disk(&error) => {
                    (Work::Failed(format!("the published sum cannot be read: {error}")), None)
                }
                Err(error) => (Work::Unreadable(root, format!("the published sum: {error}")), None),
            }
        });
    }

    async fn finished(&mut self, role: Role, outcome: Outcome) {
        let Some(running) = &mut self.state.running else { return };
        if let (Outcome::Completed { published, .. }, Role::Member) = (&outcome, role) {
            let (attempt, _) = running.round.place();
            running.attempts.push(AttemptRecord {
                attempt,
                slot: published.certificate.slot,
                aggregator: published.sum.signer,
                outcome: "completed".into(),
                detail: None,
            });
        }
        if role == Role::Member {
            running.outcome = Some(outcome);
            return;
        }
        running.phases.enter(None);
        let (round, phases_ms) = (running.round.number(), running.phases.milliseconds().clone());
        if let Outcome::Completed { published, .. } = outcome
            && let Ok(bytes) = codec::encode(&Message::Published(published))
        {
            self.network.publish(bytes);
        }
        self.observer.notify(NodeEvent::Aggregated { round, phases_ms }).await;
    }
}
