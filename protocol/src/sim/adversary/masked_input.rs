//! Lies about vectors and those who hold them.

use crate::{
    ids::MemberId,
    messages::{
        Message,
        consistency_check::{Proposal, Proposed},
        failover::StandbyRequest,
        masked_input::MaskedInput,
    },
    signing::Signed,
};

use super::{Liar, Lie, Said, unmasking};

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match message {
        Message::MaskedInput(statement) => self::statement(liar, to, *statement),
        Message::Standby(request) => match liar.lie {
            Lie::NoStandbys => unbacked(liar, &request),
            Lie::SplitView => unmasking::standbys_of_both(liar, to, *request),
            _ => vec![(to, Message::Standby(request))],
        },
        message => vec![(to, message)],
    }
}

fn statement(liar: &Liar, to: MemberId, honest: Signed<MaskedInput>) -> Said {
    let say = |statement| (to, Message::MaskedInput(Box::new(statement)));
    let mut body = honest.body.clone();
    body.root[0] ^= 1;
    match liar.lie {
        Lie::WrongRoot => liar.sign(body).map(say).into_iter().collect(),
        Lie::TwoMaskedInputs => [Some(honest), liar.sign(body)].into_iter().flatten().map(say).collect(),
        _ => vec![say(honest)],
    }
}

/// Proposes at once, and asks nobody to stand by.
fn unbacked(liar: &mut Liar, request: &StandbyRequest) -> Said {
    let StandbyRequest { session, slot, survivors } = request;
    if std::mem::replace(&mut liar.plan.done, true) {
        return Said::new();
    }
    let statements = survivors.ids().filter_map(|id| liar.known.statements.get(&(*session, id)).cloned());
    let value = Proposed::Survivors { statements: statements.collect(), standbys: Vec::new() };
    let proposal = liar.sign(Proposal { session: *session, slot: *slot, value });
    let Some(proposal) = proposal.map(|it| Message::Proposal(Box::new(it))) else { return Said::new() };
    liar.known.everybody().into_iter().map(|to| (to, proposal.clone())).collect()
}
