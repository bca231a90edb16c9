//! `advertise-keys`: the contract goes out, advertisements come in, the roster repeats them verbatim.
//!
//! An advertisement is taken when
//! 1. it comes from the member that signed it, and is the first of this member;
//! 2. [`check_advertisement`] finds nothing against it;
//! 3. none of its keys is anybody else's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    contract::Contract,
    fault::FaultKind,
    ids::MemberId,
    io::Output,
    messages::{
        Message,
        advertise_keys::{Advertisement, Decline, Roster},
    },
    phase::Phase,
    report::AbortReason,
    roster::{Session, check_advertisement, keys_of},
    seat::{self, Outputs, Seat, send},
    signing::Signed,
};

use super::{Progress, State, all_answered, share_keys::ShareKeys};

pub(super) struct AdvertiseKeys {
    contract: Signed<Contract>,
    advertisements: BTreeMap<MemberId, Signed<Advertisement>>,
    declined: BTreeSet<MemberId>,
    keys: BTreeSet<[u8; 32]>,
}

impl AdvertiseKeys {
    pub(super) fn begin(seat: &Seat, out: &mut Outputs) -> Result<Self, AbortReason> {
        let contract = seat
            .terms
            .sign(&seat.identity)
            .map_err(|error| AbortReason::Local { phase: Phase::AdvertiseKeys, detail: error.to_string() })?;
        out.push(Output::Phase(Phase::AdvertiseKeys));
        let phase = Self {
            contract,
            advertisements: BTreeMap::new(),
            declined: BTreeSet::new(),
            keys: BTreeSet::new(),
        };
        for member in seat::others(seat) {
            phase.invite(member, out);
        }
        Ok(phase)
    }

    pub(super) fn invite(&self, member: MemberId, out: &mut Outputs) {
        send(out, member, Message::Contract(Box::new(self.contract.clone())));
    }

    pub(super) fn advertisement(
        &mut self,
        seat: &Seat,
        from: MemberId,
        advertisement: Signed<Advertisement>,
    ) -> Result<(), FaultKind> {
        if advertisement.signer != from {
            return Err(FaultKind::Author { signer: advertisement.signer, expected: from });
        }
        if let Some(first) = self.advertisements.get(&from) {
            return seat::repeated(&first.digest(), &advertisement.digest()).map_or(Ok(()), Err);
        }
        check_advertisement(&seat.terms, &advertisement, &seat.seen)?;
        let keys = BTreeSet::from(keys_of(&advertisement.body));
        if keys.len() < 3 || !keys.is_disjoint(&self.keys) {
            return Err(FaultKind::Key);
        }
        self.keys.extend(keys);
        self.declined.remove(&from);
        self.advertisements.insert(from, advertisement);
        Ok(())
    }

    pub(super) fn decline(
        &mut self,
        seat: &Seat,
        from: MemberId,
        decline: &Signed<Decline>,
        out: &mut Outputs,
    ) -> Result<(), FaultKind> {
        let reason = seat.check_decline(from, decline)?;
        if !self.advertisements.contains_key(&from) && self.declined.insert(from) {
            out.push(Output::Declined { who: from, phase: Phase::AdvertiseKeys, reason });
        }
        Ok(())
    }

    pub(super) fn advance(self, seat: &Seat, late: bool, out: &mut Outputs) -> Progress<Self, State> {
        let members = seat.terms.manifest().members().iter().map(|member| &member.id);
        let answered = |id: &MemberId| self.advertisements.contains_key(id) || self.declined.contains(id);
        if !late && !all_answered(seat, members, answered) {
            return Progress::Waiting(self);
        }
        let (found, needed) = (self.advertisements.len(), seat.terms.manifest().min_participants());
        if found < needed {
            return Progress::Impossible(seat::too_few(Phase::AdvertiseKeys, found, needed));
        }
        self.roster(seat, out)
            .map_or_else(Progress::Impossible, |next| Progress::Next(State::ShareKeys(next)))
    }

    fn roster(self, seat: &Seat, out: &mut Outputs) -> Result<ShareKeys, AbortReason> {
        let roster = seat.sign(Roster {
            contract: *seat.terms.digest(),
            advertisements: self.advertisements.into_values().collect(),
        })?;
        let session = Session::new(seat.terms.clone(), &roster, &seat.seen).map_err(|kind| {
            AbortReason::Local { phase: Phase::AdvertiseKeys, detail: format!("my own roster: {kind}") }
        })?;
        let message = Message::Roster(Box::new(roster));
        for participant in session.participants() {
            send(out, participant.id, message.clone());
        }
        Ok(ShareKeys::begin(Arc::new(session), vec![message], out))
    }
}
