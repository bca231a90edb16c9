//! Vectors of others: taken in, kept until they are summed, and passed on to standbys.

use super::*;
use crate::round::bulk::is_of_disk;

impl Driver {
    /// Gives what is here already.
    pub(super) fn receive(
        &mut self,
        role: Role,
        session: SessionId,
        members: Vec<MemberId>,
    ) -> Result<Vec<Input>, String> {
        let Some(running) = &mut self.state.running else { return Ok(Vec::new()) };
        running.expected = members.len();
        if let Some(intake) = running.intake.as_ref().filter(|intake| intake.session() == session) {
            let complete = intake.complete();
            running.received.extend(complete.iter().map(|arrived| arrived.owner));
            return Ok(complete.iter().map(|arrived| Input::Done(arrived.work())).collect());
        }
        let layout = running.terms.layout().clone();
        // what a standby holds is bounded by the policy
        if role == Role::Aggregator {
            let allowed = self.limits.borrow().check_round(members.len(), layout.packed_len());
            allowed.map_err(|over| format!("{over}; the next member aggregates"))?;
        }
        let intake = Intake::new(session, layout, members, self.results.folder())
            .map_err(|error| format!("no room for the members' vectors: {error}"))?;
        running.intake = Some(Arc::new(intake));
        Ok(Vec::new())
    }

    pub(super) fn bulk(&mut self, from: MemberId, stream: BulkStream) {
        let running = self.state.running.as_ref();
        let intake = running.and_then(|running| running.intake.clone());
        let trusted = running.map_or_else(Trusted::default, |running| Trusted {
            me: Some(self.state.me),
            aggregator: running.round.aggregator(),
            required: running.round.required_roots(),
        });
        let ended = running.map(|running| running.ended.clone()).unwrap_or_default();
        let (results, generation, sender) =
            (self.results.clone(), self.state.generation, self.state.done.0.clone());
        // fewer would let colluders that dawdle keep everybody else out
        let uploads = usize::from(self.limits.borrow().uploads).max(2 * self.manifest.corrupt() + 1);
        let places = self.state.uploads.of(uploads);
        let session = intake.as_ref().map(|intake| intake.session());
        tokio::spawn(async move {
            let tell = async |work| {
                let Some(session) = session else { return };
                let done = Done { generation, session, role: Role::Aggregator, work, aggregate: None };
                let _ = sender.send(done).await;
            };
            match serve(stream, from, intake, &ended, &results, &trusted, &places).await {
                Ok(Some(arrived)) => {
                    tell(arrived.work()).await;
                }
                Ok(None) => {}
                Err(error) if is_of_disk(&error) => {
                    let detail = format!(
                        "the members' vectors cannot be kept: {error}; free or grow the disk of this node's home"
                    );
                    tell(Work::Failed(detail)).await;
                }
                Err(error) => tracing::debug!(%from, %error, "bulk stream ended early"),
            }
        });
    }

    pub(super) fn pass_on(&mut self, vector: MemberId, root: Digest, to: MemberId) {
        let Some(running) = &mut self.state.running else { return };
        let Some(intake) = running.intake.clone() else { return };
        let network = self.network.clone();
        let queue = running.passing_on.entry(to).or_insert_with(|| {
            let (sender, vectors) = mpsc::channel(limits::MAX_JOBS);
            running.jobs.spawn(pass_on(intake, to, network, vectors));
            sender
        });
        if queue.try_send((vector, root)).is_err() {
            tracing::warn!(%to, %vector, "vector not passed on: too many are waiting");
        }
    }
}
