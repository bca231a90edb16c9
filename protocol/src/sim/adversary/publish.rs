//! Lies about the sum.

use crate::{
    ids::MemberId,
    messages::{
        Message,
        publish::{Published, Sum},
    },
};

use super::{Liar, Lie, Said};

pub(super) fn outgoing(liar: &Liar, to: MemberId, message: Message) -> Said {
    let Message::Published(honest) = message else { return vec![(to, message)] };
    let say = |published| (to, Message::Published(Box::new(published)));
    let other = || {
        let mut body: Sum = honest.sum.body;
        body.root[0] ^= 1;
        Some(say(Published { sum: liar.sign(body)?, ..(*honest).clone() }))
    };
    match liar.lie {
        Lie::TwoSums => [Some(say((*honest).clone())), other()].into_iter().flatten().collect(),
        Lie::LostSum => other().into_iter().collect(),
        _ => vec![say(*honest)],
    }
}
