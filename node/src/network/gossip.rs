//! Gossip: one topic for each consortium, signed by authors, judged before it is passed on.
//!
//! gossipsub checks the signature; this file checks that the author is a member, has not said too much,
//! and that the content is what it should be. What fails is rejected, what is too much is ignored;
//! neither is passed on. Gossip is a hint: best effort, and a member can repeat what it heard.

use std::{
    collections::{BTreeMap, HashSet},
    time::Instant,
};

use consort_protocol::{codec, hash, ids::MemberId};
use libp2p::{
    gossipsub::{
        self, IdentTopic, IdentityTransform, Message, MessageAcceptance, MessageAuthenticity, MessageId,
        ValidationMode, WhitelistSubscriptionFilter,
    },
    identity::Keypair,
};
use serde::{Deserialize, Serialize};

use super::{
    NetworkError,
    presence::{BadPresence, Heard, Presence},
};
use crate::{
    identity,
    limits::{self, TokenBucket},
};

pub(super) type Topic = IdentTopic;
pub(super) type Gossipsub = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// What gossip carries.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Content {
    /// Where the author listens, and its application status.
    Presence(Presence),
    /// The application's own.
    Application(#[serde(deserialize_with = "codec::at_most::<{ limits::MAX_GOSSIP_BYTES }, _, _>")] Vec<u8>),
}

/// What a judged message says.
pub(super) enum Said {
    Presence(Heard),
    Application(Vec<u8>),
}

/// Why a message is not passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it names no author")]
    Anonymous,
    #[error("its author {0} is not a member")]
    Stranger(libp2p::PeerId),
    #[error("its author has said too much lately")]
    TooMuch,
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] codec::CodecError),
    #[error("bad presence: {0}")]
    Presence(#[from] BadPresence),
}

impl Refusal {
    /// Too much is no lie: only nonsense is held against whom it came from.
    pub(super) fn acceptance(&self) -> MessageAcceptance {
        match self {
            Self::TooMuch => MessageAcceptance::Ignore,
            Self::Anonymous | Self::Stranger(_) | Self::Unreadable(_) | Self::Presence(_) => {
                MessageAcceptance::Reject
            }
        }
    }
}

/// Judges what arrives, and keeps the author's budget.
pub(super) struct Judge {
    budgets: BTreeMap<MemberId, TokenBucket>,
    warnings: TokenBucket,
}

impl Judge {
    pub(super) fn new(members: impl IntoIterator<Item = MemberId>) -> Self {
        let now = Instant::now();
        let budget = TokenBucket::new(limits::GOSSIP_BURST, limits::GOSSIP_PER_SECOND, now);
        Self {
            budgets: members.into_iter().map(|member| (member, budget.clone())).collect(),
            warnings: TokenBucket::new(limits::WARNINGS, limits::WARNINGS_PER_SECOND, now),
        }
    }

    /// Hears these members and nobody else from now on. Budgets of those who stay are as they were.
    pub(super) fn set_members(&mut self, members: impl IntoIterator<Item = MemberId>) {
        let full = TokenBucket::new(limits::GOSSIP_BURST, limits::GOSSIP_PER_SECOND, Instant::now());
        let budget = |member| (member, self.budgets.get(&member).unwrap_or(&full).clone());
        self.budgets = members.into_iter().map(budget).collect();
    }

    /// Whether a refusal should be logged: whoever floods us must not flood the log.
    pub(super) fn worth_a_warning(&mut self, now: Instant) -> bool {
        self.warnings.take(now)
    }

    /// Whether a member may say something more; for this node too, since the others would ignore it.
    pub(super) fn within_budget(&mut self, author: &MemberId, now: Instant) -> bool {
        self.budgets.get_mut(author).is_some_and(|budget| budget.take(now))
    }

    /// Checks, in this order: a named author who is a member, its budget, the content.
    pub(super) fn judge(&mut self, message: &Message, now: Instant) -> Result<(MemberId, Said), Refusal> {
        let source = message.source.ok_or(Refusal::Anonymous)?;
        let author = identity::member_id(&source).map_err(|_| Refusal::Stranger(source))?;
        if !self.budgets.contains_key(&author) {
            return Err(Refusal::Stranger(source));
        }
        if !self.within_budget(&author, now) {
            return Err(Refusal::TooMuch);
        }
        let said = match codec::decode(&message.data)? {
            Content::Presence(presence) => Said::Presence(presence.check(&author)?),
            Content::Application(bytes) => Said::Application(bytes),
        };
        Ok((author, said))
    }
}

/// The topic of a consortium, named by its founding, so that it stays when members come and go.
pub(super) fn topic(consortium: &[u8; 32]) -> Topic {
    IdentTopic::new(format!("consort/v1/{}", hex::encode(consortium)))
}

/// gossipsub with our settings, subscribed to our topic and closed to others.
pub(super) fn behaviour(identity: &Keypair, topic: &Topic) -> Result<Gossipsub, NetworkError> {
    let setup = |error: &dyn std::fmt::Display| NetworkError::Setup(format!("gossip: {error}"));
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(content_id)
        .max_transmit_size(limits::MAX_GOSSIP_BYTES + limits::GOSSIP_ENVELOPE_BYTES)
        .connection_handler_queue_len(limits::GOSSIP_QUEUE_MESSAGES)
        .build()
        .map_err(|error| setup(&error))?;
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let author = MessageAuthenticity::Signed(identity.clone());
    let mut behaviour =
        Gossipsub::new_with_subscription_filter(author, config, filter).map_err(|error| setup(&error))?;
    behaviour.subscribe(topic).map_err(|error| setup(&error))?;
    Ok(behaviour)
}

/// Names a message by author, sequence number and content, so that nobody can make another's message
/// look like one already seen.
fn content_id(message: &Message) -> MessageId {
    let source = message.source.map(|peer| peer.to_bytes()).unwrap_or_default();
    let sequence = message.sequence_number.unwrap_or_default().to_le_bytes();
    let length = (source.len() as u64).to_le_bytes();
    MessageId::new(&hash::digest("gossip-id", &[&length, &source, &sequence, &message.data]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeIdentity;

    fn message(author: Option<&NodeIdentity>, content: &Content) -> Message {
        Message {
            source: author.map(|author| author.keypair().public().to_peer_id()),
            data: codec::encode(content).unwrap(),
            sequence_number: Some(1),
            topic: topic(&[0; 32]).hash(),
        }
    }

    fn two() -> (NodeIdentity, NodeIdentity, Judge) {
        let (member, stranger) = (NodeIdentity::from_secret(&[1; 32]), NodeIdentity::from_secret(&[2; 32]));
        let judge = Judge::new([member.id()]);
        (member, stranger, judge)
    }

    #[test]
    fn takes_a_member_and_rejects_strangers_and_nobody() {
        let (member, stranger, mut judge) = two();
        let (now, content) = (Instant::now(), Content::Application(vec![1, 2, 3]));
        let (author, said) = judge.judge(&message(Some(&member), &content), now).ok().unwrap();
        assert_eq!(author, member.id());
        assert!(matches!(said, Said::Application(bytes) if bytes == [1, 2, 3]));
        for author in [Some(&stranger), None] {
            let refusal = judge.judge(&message(author, &content), now).err().unwrap();
            assert!(matches!(refusal.acceptance(), MessageAcceptance::Reject), "{refusal}");
        }
    }

    #[test]
    fn ignores_a_flood_of_one_author_only() {
        let (member, other, _) = two();
        let mut judge = Judge::new([member.id(), other.id()]);
        let (now, content) = (Instant::now(), Content::Application(vec![]));
        let taken = (0..1000).filter(|_| judge.judge(&message(Some(&member), &content), now).is_ok()).count();
        assert_eq!(taken, limits::GOSSIP_BURST as usize);
        let refusal = judge.judge(&message(Some(&member), &content), now).err().unwrap();
        assert!(matches!(refusal.acceptance(), MessageAcceptance::Ignore));
        assert!(judge.judge(&message(Some(&other), &content), now).is_ok());
    }

    #[test]
    fn rejects_nonsense() {
        let (member, _, mut judge) = two();
        let now = Instant::now();
        let mut garbled = message(Some(&member), &Content::Application(vec![7; 9]));
        garbled.data.push(0);
        assert!(matches!(judge.judge(&garbled, now), Err(Refusal::Unreadable(_))));
        let large = message(Some(&member), &Content::Application(vec![0; limits::MAX_GOSSIP_BYTES + 1]));
        assert!(matches!(judge.judge(&large, now), Err(Refusal::Unreadable(_))));
        let largest = message(Some(&member), &Content::Application(vec![0; limits::MAX_GOSSIP_BYTES]));
        assert!(judge.judge(&largest, now).is_ok());
        let chatty = Presence { status: vec![0; limits::MAX_STATUS_BYTES + 1], ..Presence::default() };
        let chatty = message(Some(&member), &Content::Presence(chatty));
        assert!(matches!(judge.judge(&chatty, now), Err(Refusal::Unreadable(_))));
        let lost = Presence { addresses: vec!["nowhere".to_owned()], ..Presence::default() };
        let lost = message(Some(&member), &Content::Presence(lost));
        assert!(matches!(judge.judge(&lost, now), Err(Refusal::Presence(_))));
    }

    #[test]
    fn an_id_depends_on_author_sequence_and_content() {
        let (member, stranger, _) = two();
        let content = Content::Application(vec![1]);
        let base = message(Some(&member), &content);
        let mut later = base.clone();
        later.sequence_number = Some(2);
        let ids = [
            content_id(&base),
            content_id(&later),
            content_id(&message(Some(&stranger), &content)),
            content_id(&message(Some(&member), &Content::Application(vec![2]))),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }
}
