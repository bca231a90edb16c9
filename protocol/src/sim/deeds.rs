//! What nodes want done, done: one output after the other, before the eyes of the observers.

use crate::{
    codec,
    hash::digest,
    ids::MemberId,
    io::{Input, Output, Role},
    phase::Phase,
    report::Outcome,
    round::Deeds,
};

use super::{
    faults::What,
    host::Host,
    network::Simulation,
    report::{Envelope, Report, SlotOver},
};

impl<H: Host> Simulation<'_, H> {
    pub(super) fn carry_out(&mut self, id: MemberId, deeds: Deeds) {
        for (role, output) in deeds {
            let Some(node) = self.nodes.get_mut(&id).filter(|node| node.alive) else { return };
            if node.paused.is_some() {
                node.undone.push((role, output));
                continue;
            }
            match output {
                Output::Phase(phase) => self.phase(id, role, phase),
                Output::Journal(entry) => {
                    self.monitor.journal(id, &entry);
                    self.report.journals.entry(id).or_default().push(entry);
                }
                Output::Send(to, message) => self.send(role, Envelope { from: id, to, message: *message }),
                Output::Announce(_) => {}
                Output::Upload(plan, to) => self.upload(id, &plan, to),
                Output::Fetch(published) => {
                    node.fetching.push(*published);
                    self.fetch();
                }
                Output::Receive(session, members) => self.receive(id, session, &members),
                Output::PassOn { vector, root, to } => self.pass_on(id, vector, root, to),
                Output::Unmask(survivors, plan) => self.unmask(id, &survivors, &plan),
                Output::Audit(published, plan) => self.audit(id, &published, &plan),
                Output::Declined { who, reason, .. } if who == id => {
                    self.report.declined.push((id, reason));
                }
                Output::Declined { .. } => {}
                Output::Fault(fault) => {
                    self.monitor.fault(id, &fault);
                    self.report.faults.push((id, fault));
                }
                Output::Evidence(evidence) => {
                    self.monitor.evidence(id, &evidence);
                    self.report.evidence.push((id, *evidence));
                }
                Output::SlotOver { attempt, slot, reason, .. } => {
                    self.report.slots.entry(id).or_default().push(SlotOver { attempt, slot, reason });
                }
                Output::Finished(outcome) => {
                    if role == Role::Member {
                        if let Outcome::Completed { published, .. } = &outcome {
                            let read = node.store.read(&published.sum.body.root).cloned();
                            self.report.aggregates.extend(read.map(|aggregate| (id, aggregate)));
                        }
                        self.report.outcomes.insert(id, outcome);
                    } else {
                        self.report.aggregator = Some(outcome);
                    }
                }
            }
        }
    }

    fn phase(&mut self, id: MemberId, role: Role, phase: Phase) {
        let Some(at) = self.faults.iter().position(|fault| fault.strikes(id, role, phase)) else { return };
        match self.faults.remove(at).what {
            What::Kill => self.kill(id),
            What::Restart(time) => {
                self.kill(id);
                if let Some(node) = self.nodes.get_mut(&id) {
                    (node.round, node.restarts) = (None, Some(self.now + time));
                }
            }
            What::Pause(time) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.paused = Some(self.now + time);
                }
            }
            What::Cut(side, time) => {
                self.cut = Some((side.clone(), self.now + time));
                self.across(&side, Input::Lost);
            }
        }
    }

    fn kill(&mut self, id: MemberId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.alive = false;
        }
        self.report.outcomes.remove(&id);
        for other in self.ids() {
            if !self.is_apart(&other, &id) {
                self.handle(other, Role::Member, Input::Lost(id));
            }
        }
    }

    /// A node says something; a corrupt one says what its liar makes of it.
    fn send(&mut self, role: Role, envelope: Envelope) {
        if !self.adversary.has(&envelope.from) {
            return self.post(role, envelope);
        }
        for envelope in self.adversary.outgoing(envelope) {
            self.post(role, envelope);
        }
    }

    /// A message leaves.
    pub(super) fn post(&mut self, role: Role, envelope: Envelope) {
        self.host.begin();
        let encoded = codec::encode(&envelope.message);
        self.end(envelope.from, role, None);
        let Ok(bytes) = encoded else { return };
        self.host.sent(&envelope, bytes.len());
        self.monitor.sent(&envelope);
        self.oracle.sent(&envelope);
        self.oracle.check(&mut self.monitor);
        let Envelope { from, to, .. } = envelope;
        self.report.transcript = digest("transcript", &[&self.report.transcript, &from.0, &to.0, &bytes]);
        // what is said while there is no connection is lost, and said again where that matters
        if !self.is_apart(&from, &to) {
            self.queue.push(from, to, bytes);
        }
    }

    /// What only shows at the end.
    pub(super) fn end_of_run(mut self) -> Report {
        for (id, node) in &self.nodes {
            if node.alive && node.round.is_some() {
                let has_sum = self.report.aggregates.contains_key(id);
                self.monitor.ended(*id, self.report.outcomes.get(id), has_sum);
            }
        }
        self.report.extracted = self.oracle.extracted();
        self.report.violations = self.monitor.violations().to_vec();
        self.report
    }
}
