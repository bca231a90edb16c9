//! One liar: what its node says, changed by one lie.

use std::sync::Arc;

use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};

use crate::{
    encoding::{Chunk, packing},
    hash::{Digest, digest},
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::{Message, masked_input::MaskedInput},
    roster::Session,
    signing::{Identity, Signed, Statement},
};

use super::{
    super::spied::{Dealt, Spied},
    Lie, Said, advertise_keys, consistency_check, failover,
    knowledge::Knowledge,
    masked_input, publish, share_keys, speech, unmasking,
};

/// Stands between one node and the network, and tells one lie.
pub struct Liar {
    pub(super) lie: Lie,
    pub(super) identity: Arc<Identity>,
    pub(super) me: MemberId,
    /// Everybody for whom it can sign, itself included.
    pub(super) fellows: Vec<Arc<Identity>>,
    pub(super) known: Knowledge,
    pub(super) spied: Vec<Spied>,
    pub(super) rng: ChaCha20Rng,
    /// What it was about to say and may still need, by a name of the lie's own.
    pub(super) plan: Plan,
    seed: u64,
}

/// What a lie that takes several steps has to remember.
#[derive(Default)]
pub(super) struct Plan {
    /// Whom the other proposal is for, until there are receipts for it.
    pub(super) waiting: Vec<MemberId>,
    /// Sets whose certificates are out.
    pub(super) asked: Vec<Digest>,
    /// Whether what is said once has been said.
    pub(super) done: bool,
    /// The other polynomials.
    pub(super) dealt: Option<(SessionId, Dealt)>,
}

impl Liar {
    /// A liar for the node of this identity. What it draws follows from the seed.
    #[must_use]
    pub fn new(lie: Lie, identity: Arc<Identity>, manifest: Arc<Manifest>, seed: u64) -> Self {
        let me = identity.id();
        Self {
            lie,
            me,
            fellows: vec![identity.clone()],
            identity,
            known: Knowledge::new(manifest),
            spied: Vec::new(),
            rng: ChaCha20Rng::from_seed(digest("liar", &[&me.0, &seed.to_le_bytes()])),
            plan: Plan::default(),
            seed,
        }
    }

    /// The lie that it tells.
    #[must_use]
    pub fn lie(&self) -> Lie {
        self.lie
    }

    /// Whose identities it may sign with besides its own.
    #[must_use]
    pub fn conspiring(mut self, fellows: impl IntoIterator<Item = Arc<Identity>>) -> Self {
        self.fellows.extend(fellows.into_iter().filter(|fellow| fellow.id() != self.me));
        self
    }

    /// Gives it the secrets of its own node, which it needs to deal wrongly
    /// ([`Round::spied`](crate::round::Round::spied)).
    pub fn spy(&mut self, spied: Spied) {
        self.spied.push(spied);
    }

    /// What leaves in place of a message of its node.
    pub fn outgoing(&mut self, to: MemberId, message: Message) -> Said {
        self.known.learn(&message);
        // its own node hears the truth, and goes on
        if to == self.me {
            return vec![(to, message)];
        }
        match self.lie {
            Lie::Replay | Lie::Impersonation | Lie::BrokenSignatures => speech::outgoing(self, to, message),
            _ if speech::is_withheld(self, &to, &message) => Said::new(),
            _ => self.altered(to, message),
        }
    }

    fn altered(&mut self, to: MemberId, message: Message) -> Said {
        match &message {
            Message::Contract(_) | Message::Advertise(_) | Message::Roster(_) => {
                advertise_keys::outgoing(self, to, message)
            }
            Message::Shares(_) | Message::Receipt(..) | Message::MaskSet(_) => {
                share_keys::outgoing(self, to, message)
            }
            Message::MaskedInput(_) | Message::Standby(_) => masked_input::outgoing(self, to, message),
            Message::Proposal(_) | Message::Vote(_) => consistency_check::outgoing(self, to, message),
            Message::Certificate(_) | Message::Reveal(_) => unmasking::outgoing(self, to, message),
            Message::Published(_) => publish::outgoing(self, to, message),
            Message::Timeout(_) | Message::TimedOut(_) | Message::NewSlot(_) => {
                failover::outgoing(self, to, message)
            }
            _ => vec![(to, message)],
        }
    }

    /// Whether its node never hears of a message.
    pub fn ignores(&mut self, message: &Message) -> bool {
        let victim = self.victim();
        match (self.lie, message) {
            (_, Message::Advertise(it)) => advertise_keys::ignores(self, it),
            (Lie::MaskSetWithoutVictim, Message::Receipt(it, _)) => Some(it.signer) == victim,
            (Lie::ProposalWithoutVictim, Message::MaskedInput(it)) => Some(it.signer) == victim,
            _ => false,
        }
    }

    /// What it says of its own accord when its node hears something.
    pub fn incoming(&mut self, _from: MemberId, message: &Message) -> Said {
        self.known.hear(message);
        match self.lie {
            Lie::Replay | Lie::Impersonation => speech::incoming(self, message),
            Lie::SplitView => unmasking::incoming(self, message),
            Lie::EarlyTimeouts | Lie::FalseAbort | Lie::FalseAbandonment => failover::incoming(self, message),
            _ => Said::new(),
        }
    }

    /// What a fellow has heard, or what anybody has said in public.
    pub(super) fn overhear(&mut self, message: &Message) {
        self.known.learn(message);
    }

    /// What its node does to the first chunk of its sum before it is published.
    #[must_use]
    pub fn falsehood(&self) -> Option<Falsehood> {
        match self.lie {
            Lie::WrongSum => Some(|_, packed| packed.iter_mut().take(1).for_each(|byte| *byte ^= 1)),
            Lie::SumOutOfRange => Some(far_out),
            _ => None,
        }
    }

    pub(super) fn sign<T: Statement>(&self, body: T) -> Option<Signed<T>> {
        Signed::new(body, &self.identity).ok()
    }

    fn is_fellow(&self, id: &MemberId) -> bool {
        self.fellows.iter().any(|fellow| fellow.id() == *id)
    }

    /// The others in an order that follows from the seed, without those that conspire.
    fn others(&self) -> Vec<MemberId> {
        let place = |id: &MemberId| digest("half", &[&self.seed.to_le_bytes(), &id.0]);
        let mut others: Vec<MemberId> =
            self.known.everybody().into_iter().filter(|id| !self.is_fellow(id)).collect();
        others.sort_by_key(place);
        others
    }

    /// Whom the lie is to hurt.
    pub(super) fn victim(&self) -> Option<MemberId> {
        self.others().first().copied()
    }

    /// Whether somebody is in the half that is told the truth; whoever conspires is.
    pub(super) fn favours(&self, id: &MemberId) -> bool {
        let others = self.others();
        others.iter().position(|other| other == id).is_none_or(|at| at >= others.len() / 2)
    }

    /// The secrets of its node in a session.
    pub(super) fn secrets(&self, session: &Session) -> Option<&Spied> {
        self.spied.iter().find(|spied| spied.belongs_to(session, &self.me))
    }

    /// Statements of a session that survive without its victim, in ascending order.
    pub(super) fn without_victim(&self, statements: &[Signed<MaskedInput>]) -> Vec<Signed<MaskedInput>> {
        let victim = self.victim();
        statements.iter().filter(|statement| Some(statement.signer) != victim).cloned().collect()
    }
}

/// Changes the packed elements of a chunk.
pub type Falsehood = fn(&Chunk, &mut Vec<u8>);

/// The first element becomes the one that is farthest from 0 in its ring.
fn far_out(chunk: &Chunk, packed: &mut Vec<u8>) {
    let mut words = vec![0; chunk.len as usize];
    if packing::unpack(packed, chunk.bits, &mut words).is_ok() {
        words.iter_mut().take(1).for_each(|word| *word = 1 << (chunk.bits - 1));
        packed.clear();
        packing::pack(&words, chunk.bits, packed);
    }
}
