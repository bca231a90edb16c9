//! How a round begins: contracts that come before it, and the schedule.

use super::*;

const OTHER_TASK: &str = "its task is not the one that the waiting input answers";

impl Driver {
    /// Somebody proposes an attempt. One for each slot is kept, and only if it is its author's turn, so nobody
    /// can take another one's place.
    pub(super) async fn contract(&mut self, from: MemberId, contract: Signed<Contract>, direct: bool) {
        let Contract { round, attempt, slot, .. } = contract.body;
        let current = self.state.gathering.round;
        if let Some(running) = &self.state.running
            && running.round.number() == round
        {
            return self.feed(Input::Message(from, Box::new(Message::Contract(Box::new(contract))))).await;
        }
        if contract.signer != from || election::holder(&self.manifest, round, slot) != Some(from) {
            if self.worth_a_warning() {
                tracing::warn!(%from, round, slot, "contract dropped: it is not its author's turn");
            }
            return;
        }
        let Some(offer) = Offer::of(&contract) else { return };
        if !(current..current.saturating_add(limits::ROUNDS_AHEAD)).contains(&round) {
            if direct && round < current {
                self.decline(&offer, "this round is over");
            }
            return;
        }
        let stopping = self.state.finishing.then(|| "this node is stopping".to_owned());
        if let Some(reason) = stopping.or_else(|| self.state.grounds.held_back().map(ToString::to_string)) {
            if direct {
                self.decline(&offer, &reason);
            }
            return;
        }
        let waiting = self.state.pending.as_ref().map(|pending| pending.task.digest());
        match waiting {
            None => {
                if direct {
                    self.decline(&offer, "no input is waiting");
                }
                return;
            }
            Some(task) if round == current && !offer.is_for(&task) => {
                if direct {
                    self.decline(&offer, OTHER_TASK);
                }
                return;
            }
            Some(_) => {}
        }
        if attempt < consort_protocol::round::MAX_ATTEMPTS {
            self.state.offers.keep((round, attempt, slot), offer);
        }
    }

    fn decline(&mut self, offer: &Offer, reason: &str) {
        if self.worth_a_warning() {
            tracing::info!(from = %offer.author, reason, "contract declined");
        }
        let decline = Decline { contract: offer.digest, reason: reason.into() };
        if let Ok(decline) = Signed::new(decline, &self.identity) {
            self.send(offer.author, &Message::Decline(Box::new(decline)));
        }
    }

    /// Begins a round if there is one to begin.
    pub(super) async fn schedule(&mut self) {
        self.state.wake = None;
        self.catch_up().await;
        if self.state.running.is_some() || self.state.finishing {
            return;
        }
        if self.hold_back() {
            return;
        }
        while let Some(pending) = &self.state.pending {
            let (task, now) = (pending.task.digest(), self.now());
            let DriverState { peers, gathering, offers, .. } = &mut self.state;
            if offers.has(gathering.round, &task, |slot| gathering.may_begin_in(slot, peers)) {
                return self.begin().await;
            }
            match gathering.decide(peers, &task, now) {
                Decision::Wait(until) => {
                    self.state.wake = until;
                    return;
                }
                Decision::Start if self.would_be_refused() => return,
                Decision::Start => return self.begin().await,
                Decision::NextRound => {
                    let round = self.state.gathering.round;
                    tracing::info!(round, "too few are left in this round, following to the next");
                    self.begin_round(round.saturating_add(1));
                }
            }
        }
    }

    /// Follows the others where they have gone on: at once while nothing binds this node to its round, and
    /// otherwise once nobody has answered for long.
    async fn catch_up(&mut self) {
        let at = self.state.gathering.round;
        let Some(round) = self.state.peers.round().filter(|round| *round > at) else { return };
        let now = self.now();
        let patience = Duration::from_millis(self.manifest.policy().deadline_ms) * 3;
        // others may have gone on while my own part as aggregator is not over yet
        if self.state.running.as_ref().is_some_and(|running| running.outcome.is_some()) {
            return;
        }
        if let Some(running) = &mut self.state.running
            && running.round.is_bound()
        {
            let until = *running.behind_since.get_or_insert(now) + patience;
            if now < until {
                self.state.wake = Some(until);
                return;
            }
        }
        tracing::info!(round, missed = at, "catching up with the others");
        match self.state.running.take() {
            Some(running) => self.missed(running, round).await,
            None => self.begin_round(round),
        }
    }

    async fn begin(&mut self) {
        let Some(pending) = &self.state.pending else { return };
        let (task, number) = (pending.task.clone(), self.state.gathering.round);
        let terms = match Terms::new(self.manifest.clone(), number, 0, 0, task.clone()) {
            Ok(terms) => terms,
            Err(error) => return self.fail_round(&error.to_string()).await,
        };
        if let Err(reason) = self.consent.check(&terms) {
            return self.give_back(reason);
        }
        let (members, vector) =
            (self.state.peers.ready_for(number, &task.digest()).len(), terms.layout().packed_len());
        let within = self.limits.borrow().check_round(members, vector);
        if let Err(over) = &within {
            tracing::warn!(round = number, reason = %over, "this node passes its turn to aggregate, if it comes");
        }
        let setup = RoundSetup {
            identity: self.identity.clone(),
            manifest: self.manifest.clone(),
            number,
            task: task.clone(),
            seen: self.state.seen.clone(),
            guard: Arc::new(self.guard(&task)),
            aggregates: self.consent.aggregate && within.is_ok(),
            away: self.state.peers.away().clone(),
            excluded: self.state.peers.excluded().clone(),
        };
        let (running, deeds) = match Running::begin(setup, terms, self.now()) {
            Ok(begun) => begun,
            Err(reason) => return self.fail_round(&reason).await,
        };
        tracing::info!(round = number, "round begins");
        self.state.generation += 1;
        self.state.running = Some(running);
        self.drive(deeds).await;
        for peer in self.state.peers.all_connected() {
            self.heed(peer).await;
        }
        // who has passed its turn before this node was ready for the round
        for (from, abort) in self.state.passes.clone() {
            self.feed(Input::Message(from, Box::new(Message::Abort(abort)))).await;
        }
        for (place, offer) in self.state.offers.take(number) {
            match offer.contract(place, &task) {
                Some(contract) => {
                    let from = contract.signer;
                    self.feed(Input::Message(from, Box::new(Message::Contract(Box::new(contract))))).await;
                }
                None => self.decline(&offer, OTHER_TASK),
            }
        }
    }

    /// Tells the running round whether a connected member has an input for it: nobody waits for one that has
    /// none, or that is elsewhere.
    pub(super) async fn heed(&mut self, peer: MemberId) {
        let Some(running) = &mut self.state.running else { return };
        if !self.state.peers.is_connected(&peer) {
            return;
        }
        let (number, task) = (running.round.number(), running.round.task().digest());
        if self.state.peers.waits(&peer, number, &task) {
            if running.idle.remove(&peer) {
                self.feed(Input::Connected(peer)).await;
            }
        } else if running.idle.insert(peer) {
            self.feed(Input::Left(peer)).await;
        }
    }

    /// Tells the others where this node is, and what it waits with.
    pub(super) fn publish_status(&self) {
        // nobody waits for an input that has no part in rounds for now, or for a node that stops
        let free = self.state.grounds.held_back().is_none() && !self.state.finishing;
        let task = self.state.pending.as_ref().filter(|_| free).map(|pending| &pending.task);
        let (waiting, summary) = (task.map(|task| task.digest()), task.map(Summary::of));
        let (epoch, round) = (self.manifest.epoch(), self.state.gathering.round);
        self.network.set_status(Status { epoch, round, waiting, summary }.encode());
    }
}
