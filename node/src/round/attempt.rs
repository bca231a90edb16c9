//! One attempt as this node takes part in it: its state machines, its jobs, and what they have come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use consort_protocol::{
    aggregator::Aggregator,
    contract::Terms,
    encoding,
    ids::{MemberId, SessionId},
    io::{Input, Now, Output},
    member::Member,
    messages::Message,
    phase::Phase,
    report::Outcome,
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::events::Role;

use super::intake::Intake;

/// A running attempt. Its jobs end with it.
pub(super) struct Attempt {
    pub(super) terms: Arc<Terms>,
    pub(super) member: Option<Member>,
    pub(super) aggregator: Option<Aggregator>,
    pub(super) session: Option<SessionId>,
    pub(super) roster: Vec<MemberId>,
    pub(super) intake: Option<Arc<Intake>>,
    pub(super) jobs: JoinSet<()>,
    pub(super) outcome: Option<Outcome>,
    pub(super) aggregate: Option<Arc<encoding::Aggregate>>,
    pub(super) phases: PhaseClock,
    /// Whose vectors are here.
    pub(super) received: BTreeSet<MemberId>,
    /// Tells detached jobs of this attempt that it is over.
    pub(super) ended: CancellationToken,
    _end_on_drop: DropGuard,
    pub(super) expected: usize,
    rng: StdRng,
}

impl Attempt {
    /// An attempt under these terms, in which nobody plays yet.
    pub(super) fn new(terms: Arc<Terms>) -> Result<Self, String> {
        let rng = StdRng::try_from_rng(&mut rand::rngs::SysRng)
            .map_err(|error| format!("the operating system's random number generator failed: {error}"))?;
        let ended = CancellationToken::new();
        Ok(Self {
            terms,
            member: None,
            aggregator: None,
            session: None,
            roster: Vec::new(),
            intake: None,
            jobs: JoinSet::new(),
            outcome: None,
            aggregate: None,
            phases: PhaseClock::default(),
            received: BTreeSet::new(),
            _end_on_drop: ended.clone().drop_guard(),
            ended,
            expected: 0,
            rng,
        })
    }

    pub(super) fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    pub(super) fn handle(&mut self, role: Role, input: Input, now: Now) -> Vec<Output> {
        match role {
            Role::Member => self.member.as_mut().map(|member| member.handle(input, now, &mut self.rng)),
            Role::Aggregator => {
                self.aggregator.as_mut().map(|aggregator| aggregator.handle(input, now, &mut self.rng))
            }
        }
        .unwrap_or_default()
    }

    /// When a state machine wants to be woken at the latest.
    pub(super) fn deadline(&self) -> Option<Now> {
        let member = self.member.as_ref().and_then(Member::deadline);
        let aggregator = self.aggregator.as_ref().and_then(Aggregator::deadline);
        member.into_iter().chain(aggregator).min()
    }

    /// Whether every part that this node plays has ended.
    pub(super) fn is_over(&self) -> bool {
        self.member.as_ref().is_none_or(|member| member.phase().is_none())
            && self.aggregator.as_ref().is_none_or(|aggregator| aggregator.phase().is_none())
    }
}

/// Which part of a node a message is for.
pub(super) fn recipient(message: &Message) -> Role {
    if message.is_for_aggregator() { Role::Aggregator } else { Role::Member }
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
