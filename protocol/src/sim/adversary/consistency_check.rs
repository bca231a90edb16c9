//! Lies about survivors and votes.

use crate::{
    ids::MemberId,
    messages::{
        Message,
        consistency_check::{Proposal, Proposed, Value, Vote},
    },
    signing::Signed,
};

use super::{Liar, Lie, Said, failover, speech::unsigned, unmasking};

pub(super) fn outgoing(liar: &mut Liar, to: MemberId, message: Message) -> Said {
    match message {
        Message::Proposal(proposal) if proposal.signer == liar.me => match liar.lie {
            Lie::SplitView => unmasking::propose_both(liar, to, *proposal),
            Lie::OtherSet | Lie::HiddenVotes => failover::propose_other(liar, to, *proposal),
            _ => self::proposal(liar, to, *proposal),
        },
        Message::Vote(vote) => self::vote(liar, to, *vote),
        message => vec![(to, message)],
    }
}

fn proposal(liar: &Liar, to: MemberId, honest: Signed<Proposal>) -> Said {
    let say = |proposal| (to, Message::Proposal(Box::new(proposal)));
    let other = changed(liar, &honest).and_then(|value| {
        let Proposal { session, slot, .. } = honest.body;
        liar.sign(Proposal { session, slot, value })
    });
    match other {
        Some(other) if liar.lie == Lie::TwoProposals => vec![say(honest), say(other)],
        Some(other) => vec![say(other)],
        None => vec![say(honest)],
    }
}

fn changed(liar: &Liar, honest: &Signed<Proposal>) -> Option<Proposed> {
    if liar.lie == Lie::NeedlessAbandonment {
        return Some(Proposed::Abandon);
    }
    let Proposed::Survivors { statements, standbys } = &honest.body.value else { return None };
    let statements = match liar.lie {
        Lie::TwoProposals => liar.without_victim(statements),
        Lie::SmallProposal => {
            let least = liar.known.session()?.min_survivors();
            statements.iter().take(least - 1).cloned().collect()
        }
        Lie::AlteredProposal => {
            let mut statements = statements.clone();
            let victim = liar.victim();
            let entry = statements.iter_mut().find(|statement| Some(statement.signer) == victim)?;
            entry.body.root[0] ^= 1;
            statements
        }
        _ => return None,
    };
    Some(Proposed::Survivors { statements, standbys: standbys.clone() })
}

fn vote(liar: &Liar, to: MemberId, honest: Signed<Vote>) -> Said {
    let say = |vote| (to, Message::Vote(Box::new(vote)));
    let other = match honest.body.value {
        Value::Abandon => Value::Survivors([7; 32]),
        Value::Survivors(_) => Value::Abandon,
    };
    match liar.lie {
        Lie::ForgedVote => vec![say(unsigned(honest))],
        Lie::TwoVotes => {
            let second = liar.sign(Vote { value: other, ..honest.body });
            [Some(honest), second].into_iter().flatten().map(say).collect()
        }
        _ => vec![say(honest)],
    }
}
