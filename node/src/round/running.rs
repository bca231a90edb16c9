//! The round that this node takes part in: its state machine, its jobs, and what they have come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use consort_protocol::{
    contract::Terms,
    encoding,
    hash::Digest,
    ids::{MemberId, SessionId},
    io::{Now, Role},
    phase::Phase,
    report::Outcome,
    roster::Session,
    round::{Deeds, Round, RoundSetup},
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ledger::AttemptRecord;

use super::{intake::Intake, upload::Source};

/// A running round. Its jobs end with it.
pub(super) struct Running {
    pub(super) round: Round,
    /// Of the first slot: shape and encoding are the same in all.
    pub(super) terms: Arc<Terms>,
    /// The last session whose roster was accepted.
    pub(super) session: Option<Arc<Session>>,
    /// Whether a masked vector of the input has begun to leave.
    pub(super) sent: bool,
    /// Root of my masked vector in the last session, once it was made.
    pub(super) root: Option<Digest>,
    pub(super) intake: Option<Arc<Intake>>,
    pub(super) jobs: JoinSet<()>,
    pub(super) upload: Option<AbortHandle>,
    /// What my vector of the last session follows from.
    pub(super) source: Option<Arc<Source>>,
    /// Vectors on their way to each standby.
    pub(super) passing_on: BTreeMap<MemberId, mpsc::Sender<(MemberId, Digest)>>,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) outcome: Option<Outcome>,
    /// The first sum that could be read, by its root.
    pub(super) aggregate: Option<(Digest, Arc<encoding::Aggregate>)>,
    /// Sums are read one after the other: each takes the memory of an aggregate.
    pub(super) reading: Arc<tokio::sync::Mutex<()>>,
    pub(super) phases: PhaseClock,
    /// Whose vectors are here.
    pub(super) received: BTreeSet<MemberId>,
    pub(super) expected: usize,
    /// Members that are connected, but have no input for this round.
    pub(super) idle: BTreeSet<MemberId>,
    /// Since when others, one of them honest, are at a later round.
    pub(super) behind_since: Option<Now>,
    /// Tells detached jobs of the last session that it is over.
    pub(super) ended: CancellationToken,
    _end_on_drop: DropGuard,
    rng: StdRng,
}

impl Running {
    /// Begins a round.
    pub(super) fn begin(setup: RoundSetup, terms: Terms, now: Now) -> Result<(Self, Deeds), String> {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng)
            .map_err(|error| format!("the operating system's random number generator failed: {error}"))?;
        let (round, deeds) = Round::begin(setup, now, &mut rng);
        let ended = CancellationToken::new();
        let running = Self {
            round,
            terms: Arc::new(terms),
            session: None,
            sent: false,
            root: None,
            intake: None,
            jobs: JoinSet::new(),
            upload: None,
            source: None,
            passing_on: BTreeMap::new(),
            attempts: Vec::new(),
            outcome: None,
            aggregate: None,
            reading: Arc::default(),
            phases: PhaseClock::default(),
            received: BTreeSet::new(),
            expected: 0,
            idle: BTreeSet::new(),
            behind_since: None,
            _end_on_drop: ended.clone().drop_guard(),
            ended,
            rng,
        };
        Ok((running, deeds))
    }

    /// A roster was accepted: of the session before, nothing has a place in this one.
    pub(super) fn enter_session(&mut self) {
        self.session = self.round.member().and_then(|member| member.session()).cloned();
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
        (self.intake, self.root, self.source) = (None, None, None);
        self.passing_on.clear();
        self.received.clear();
        self.ended = CancellationToken::new();
        self._end_on_drop = self.ended.clone().drop_guard();
    }

    /// Whether a job that was begun in this session is for the present one.
    pub(super) fn is_in(&self, session: SessionId) -> bool {
        let is = |present: SessionId| present == session;
        self.session.as_ref().is_some_and(|session| is(session.id()))
            || self.intake.as_ref().is_some_and(|intake| is(intake.session()))
    }

    pub(super) fn handle(&mut self, input: consort_protocol::io::Input, now: Now) -> Deeds {
        self.round.handle(input, now, &mut self.rng)
    }

    /// Work of one part of this node could not be done.
    pub(super) fn failed(&mut self, role: Role, detail: String, now: Now) -> Deeds {
        self.round.failed(role, detail, now, &mut self.rng)
    }

    /// Whose inputs are expected to be on the roster, in ascending order.
    pub(super) fn roster(&self) -> Vec<MemberId> {
        let participants = self.session.as_ref().map(|session| session.participants().iter());
        participants.into_iter().flatten().map(|participant| participant.id).collect()
    }
}

/// What each phase took on the aggregator.
#[derive(Default)]
pub(super) struct PhaseClock {
    current: Option<(Phase, Instant)>,
    milliseconds: BTreeMap<Phase, f64>,
}

impl PhaseClock {
    pub(super) fn enter(&mut self, phase: Option<Phase>) {
        if let Some((last, since)) = self.current.take() {
            *self.milliseconds.entry(last).or_default() += since.elapsed().as_secs_f64() * 1e3;
        }
        self.current = phase.map(|phase| (phase, Instant::now()));
    }

    pub(super) fn milliseconds(&self) -> &BTreeMap<Phase, f64> {
        &self.milliseconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::testing::{Round as Vectors, SESSION};
    use consort_protocol::sim::consortium;

    /// An upload that an aggregator has drawn out, or one that it acknowledges late, would pass for one of the next
    /// attempt: its root is another, and everybody would refuse the right vector.
    #[tokio::test]
    async fn nothing_of_a_session_has_a_place_in_the_next_one() {
        let (vectors, folder) = (Vectors::new(), tempfile::tempdir().unwrap());
        let members = consortium(5, Default::default(), 1).unwrap();
        let setup = RoundSetup {
            identity: members.identities[0].clone(),
            manifest: members.manifest.clone(),
            number: 0,
            task: vectors.terms().contract().task.clone(),
            seen: Arc::default(),
            guard: Arc::default(),
            aggregates: true,
            away: BTreeMap::new(),
            excluded: BTreeSet::new(),
        };
        let (mut running, _) = Running::begin(setup, vectors.terms(), Now::ZERO).unwrap();
        let intake = Intake::new(SESSION, vectors.layout.clone(), vectors.ids(), folder.path()).unwrap();
        running.intake = Some(Arc::new(intake));
        (running.root, running.source) = (Some([1; 32]), Some(vectors.source(0)));
        running.received.insert(vectors.id(1));
        let upload = running.jobs.spawn(std::future::pending());
        running.upload = Some(upload);
        let taking_in = running.ended.clone();
        assert!(running.is_in(SESSION) && !running.is_in(SessionId([6; 32])));

        running.enter_session();
        assert!(!running.is_in(SESSION) && taking_in.is_cancelled() && !running.ended.is_cancelled());
        assert!(running.jobs.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(running.root.is_none() && running.source.is_none() && running.received.is_empty());
        let ended = running.ended.clone();
        drop(running);
        assert!(ended.is_cancelled());
    }
}
