//! Who holds the vectors beside the aggregator, so that a set that may be certified does not die with it.
//!
//! The next members in order that can be reached stand by, those first that may aggregate. Each vector is
//! passed on as it arrives; once the survivors are chosen each standby is asked to sign for all of them. One
//! that is lost meanwhile is replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    hash::Digest,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        consistency_check::SurvivorSet,
        failover::{StandbyReceipt, StandbyRequest},
    },
    phase::Phase,
    report::AbortReason,
    roster::Session,
    seat::{self, Outputs, Seat, send},
    signing::Signed,
};

pub(super) struct Standbys {
    /// Everybody who could stand by, in the order in which they are asked.
    candidates: Vec<MemberId>,
    chosen: BTreeSet<MemberId>,
    here: Vec<(MemberId, Digest)>,
    asked: BTreeSet<MemberId>,
    receipts: BTreeMap<MemberId, Signed<StandbyReceipt>>,
}

impl Standbys {
    pub(super) fn new(session: &Session, seat: &Seat, survivors: usize) -> Self {
        let order = seat.terms.order();
        let mine = order.iter().position(|id| *id == seat.me).unwrap_or(0);
        let later = order.iter().cycle().skip(mine + 1).take(order.len()).copied();
        let rest = session.participants().iter().map(|participant| participant.id);
        let mut candidates: Vec<MemberId> = Vec::new();
        for id in later.chain(rest) {
            if id != seat.me && session.position(&id).is_some() && !candidates.contains(&id) {
                candidates.push(id);
            }
        }
        let needed = session.standbys(survivors);
        let reachable = candidates.iter().filter(|id| !seat.absent.contains(id));
        let chosen = reachable.take(needed).copied().collect();
        let (here, asked, receipts) = Default::default();
        Self { candidates, chosen, here, asked, receipts }
    }

    /// A vector is here: the standbys get it.
    pub(super) fn here(&mut self, vector: MemberId, root: Digest, out: &mut Outputs) {
        if self.here.contains(&(vector, root)) {
            return;
        }
        self.here.push((vector, root));
        for to in self.chosen.iter().filter(|to| **to != vector) {
            out.push(Output::PassOn { vector, root, to: *to });
        }
    }

    pub(super) fn signed(&mut self, from: MemberId, receipt: Signed<StandbyReceipt>) {
        self.receipts.entry(from).or_insert(receipt);
    }

    /// The receipts, once there are enough; until then everybody is asked who has to be.
    pub(super) fn complete(
        &mut self,
        session: &Session,
        seat: &Seat,
        survivors: &SurvivorSet,
        out: &mut Outputs,
    ) -> Option<Vec<Signed<StandbyReceipt>>> {
        let needed = session.standbys(survivors.vectors.len());
        if self.receipts.len() >= needed {
            return Some(self.receipts.values().take(needed).cloned().collect());
        }
        let lost = |id: &MemberId| seat.absent.contains(id) && !self.receipts.contains_key(id);
        self.chosen = self.chosen.iter().filter(|id| !lost(id)).copied().collect();
        while self.chosen.len() < needed {
            let free = |id: &&MemberId| !self.chosen.contains(id) && !seat.absent.contains(id);
            let Some(next) = self.candidates.iter().find(free).copied() else { break };
            self.chosen.insert(next);
            for (vector, root) in self.here.iter().filter(|(vector, _)| *vector != next) {
                out.push(Output::PassOn { vector: *vector, root: *root, to: next });
            }
        }
        for standby in self.chosen.difference(&self.asked) {
            let request =
                StandbyRequest { session: session.id(), slot: seat.slot, survivors: survivors.clone() };
            send(out, *standby, Message::Standby(Box::new(request)));
        }
        self.asked.clone_from(&self.chosen);
        None
    }

    pub(super) fn too_few(&self, session: &Session, survivors: usize) -> AbortReason {
        seat::too_few(Phase::MaskedInput, self.receipts.len(), session.standbys(survivors))
    }
}
