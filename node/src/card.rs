//! A member card: what somebody sends to those who found or change a consortium.
//!
//! It is text that survives mail: quoted, wrapped in a letter, with other line ends. Its proof is a signature by
//! the card's own key over its content, so nobody can hand in a key that is not theirs, or change a card under
//! way. It says nothing about who the person is: compare the peer id over a channel that you trust.
//!
//! ```text
//! -----BEGIN CONSORT MEMBER CARD-----
//! name: ward-7
//! peer: 12D3KooW…
//! address: /ip4/192.0.2.7/tcp/4040
//! proof: 64 hexadecimal digits
//! proof: 64 more
//! -----END CONSORT MEMBER CARD-----
//! ```

use std::{fmt, io, path::Path};

use consort_protocol::{
    codec::CodecError,
    ids::MemberId,
    manifest::MemberEntry,
    signing::{self, Identity, Signature, Statement},
};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::{
    files::read_bounded,
    identity::{member_id, peer_id},
};

/// First line of a card; whatever stands before it is a letter.
pub const BEGIN: &str = "-----BEGIN CONSORT MEMBER CARD-----";
const END: &str = "-----END CONSORT MEMBER CARD-----";

/// A letter with a card in it is no longer.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a file with a card in it.
///
/// # Errors
/// Where it cannot be read, or is longer than any letter.
pub fn read(path: &Path) -> io::Result<String> {
    let long = || io::Error::other(format!("more than the {MAX_FILE_BYTES} bytes that a letter may have"));
    read_bounded(path, MAX_FILE_BYTES)?.ok_or_else(long)
}

/// A card whose proof holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    content: Content,
    proof: Signature,
}

/// What the proof covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    name: String,
    id: MemberId,
    addresses: Vec<String>,
}

impl Statement for Content {
    const CONTEXT: &'static str = "member card";
}

/// Why a text is no card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// No card is in it, or more than one.
    #[error("{0} member cards in this text, expected one from {BEGIN} to {END}")]
    Count(usize),
    /// A line that a card does not have.
    #[error("line {line} of the card: {problem}")]
    Line {
        /// Counted from the first line of the card.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A part that a card must have is not there.
    #[error("the card has no {0}")]
    Missing(&'static str),
    /// What it says cannot be in a manifest.
    #[error("the card of {name} cannot be used: {problem}")]
    Entry {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The proof is by another key, or of another content.
    #[error(
        "the proof on the card of {name} does not hold: whoever made it does not have the key of {peer}, or the card was changed under way; ask for it again (`consort card`)"
    )]
    Proof {
        /// Its name.
        name: String,
        /// Its peer id.
        peer: PeerId,
    },
}

impl Card {
    /// A card of this identity.
    ///
    /// # Errors
    /// [`CardError::Entry`] where a manifest could not list it.
    pub fn new(identity: &Identity, name: String, addresses: &[Multiaddr]) -> Result<Self, CardError> {
        let content = Content {
            name,
            id: identity.id(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        };
        content.check()?;
        let unusable =
            |_: CodecError| CardError::Entry { name: content.name.clone(), problem: "it is too large" };
        let proof = signing::sign_body(&content, identity).map_err(unusable)?;
        Ok(Self { content, proof })
    }

    /// Finds the card in a text and checks its proof.
    ///
    /// # Errors
    /// [`CardError`] names the line, or what is wrong with the whole.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let lines: Vec<&str> = text.lines().map(unquoted).collect();
        let (begins, ends) = (positions(&lines, BEGIN), positions(&lines, END));
        let ([begin], [end]) = (&begins[..], &ends[..]) else { return Err(CardError::Count(begins.len())) };
        let inside = lines.get(begin + 1..*end).ok_or(CardError::Count(0))?;
        let mut parts = Parts::default();
        for (line, text) in (2..).zip(inside) {
            parts.take(text).map_err(|problem| CardError::Line { line, problem })?;
        }
        let card = parts.card()?;
        card.content.check()?;
        if !signing::verify_body(&card.content, &card.content.id, &card.proof) {
            let Content { name, id, .. } = &card.content;
            let peer = peer_id(id).map_err(|_| CardError::Missing("usable peer id"))?;
            return Err(CardError::Proof { name: name.clone(), peer });
        }
        Ok(card)
    }

    /// The line of a manifest that this card asks for.
    #[must_use]
    pub fn entry(&self) -> MemberEntry {
        let Content { name, id, addresses } = self.content.clone();
        MemberEntry { id, name, addresses, may_aggregate: true }
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Content { name, id, addresses } = &self.content;
        let proof = hex::encode(self.proof.to_bytes());
        let (first, second) = proof.split_at(64);
        writeln!(f, "{BEGIN}\nname: {name}")?;
        writeln!(f, "peer: {}", peer_id(id).map_err(|_| fmt::Error)?)?;
        addresses.iter().try_for_each(|address| writeln!(f, "address: {address}"))?;
        writeln!(f, "proof: {first}\nproof: {second}\n{END}")
    }
}

impl Content {
    fn check(&self) -> Result<(), CardError> {
        let Self { name, id, addresses } = self.clone();
        let entry = MemberEntry { id, name, addresses, may_aggregate: true };
        match entry.problem() {
            None => Ok(()),
            Some(problem) => Err(CardError::Entry { name: self.name.escape_debug().to_string(), problem }),
        }
    }
}

/// What the lines of a card have said so far.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    id: Option<MemberId>,
    addresses: Vec<String>,
    proof: String,
}

impl Parts {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        let (key, value) = line.split_once(':').ok_or("it is not of the form `key: value`")?;
        let value = value.trim();
        match key {
            "name" if self.name.is_none() => self.name = Some(value.to_owned()),
            "peer" if self.id.is_none() => {
                let peer: PeerId = value.parse().map_err(|_| "it is not a peer id")?;
                self.id = Some(member_id(&peer).map_err(|error| error.to_string())?);
            }
            "name" | "peer" => return Err(format!("a second {key}")),
            "address" => {
                let address: Multiaddr =
                    value.parse().map_err(|_| "it is not a multiaddress such as /ip4/192.0.2.7/tcp/4040")?;
                self.addresses.push(address.to_string());
            }
            "proof" => self.proof.push_str(value),
            unknown => return Err(format!("unknown key {}", unknown.escape_debug())),
        }
        Ok(())
    }

    fn card(self) -> Result<Card, CardError> {
        let bytes = hex::decode(&self.proof).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        Ok(Card {
            content: Content {
                name: self.name.ok_or(CardError::Missing("name"))?,
                id: self.id.ok_or(CardError::Missing("peer id"))?,
                addresses: self.addresses,
            },
            proof: Signature::from_bytes(
                &bytes.ok_or(CardError::Missing("proof of 64 bytes in hexadecimal"))?,
            ),
        })
    }
}

/// A line without what mail puts in front of it.
fn unquoted(line: &str) -> &str {
    line.trim_start_matches(['>', ' ', '\t']).trim_end()
}

fn positions(lines: &[&str], what: &str) -> Vec<usize> {
    lines.iter().enumerate().filter(|(_, line)| **line == what).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeIdentity;

    fn identity(number: u8) -> NodeIdentity {
        NodeIdentity::from_secret(&[number; 32])
    }

    fn card() -> Card {
        let addresses = ["/ip4/192.0.2.7/tcp/4040", "/dns4/ward.example/udp/4040/quic-v1"];
        let addresses: Vec<Multiaddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Card::new(&identity(1).signing(), "ward 7: upstairs".into(), &addresses).unwrap()
    }

    /// The error of the card's text after a replacement.
    fn edited(from: &str, to: &str) -> CardError {
        let text = card().to_string();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        Card::parse(&text.replacen(from, to, 1)).expect_err("it is refused")
    }

    #[test]
    fn a_card_survives_mail() {
        let text = card().to_string();
        assert_eq!(Card::parse(&text), Ok(card()));
        assert!(text.lines().all(|line| line.len() <= 72), "nothing gets wrapped: {text}");
        let quoted: String = text.lines().map(|line| format!("> > {line}  \r\n")).collect();
        assert_eq!(Card::parse(&format!("Dear all,\r\n\r\n{quoted}\r\n-- \r\nA.")), Ok(card()));
        let entry = card().entry();
        assert_eq!((entry.id, entry.name.as_str()), (identity(1).id(), "ward 7: upstairs"));
        assert_eq!(entry.addresses.len(), 2);
    }

    #[test]
    fn a_card_for_somebody_elses_key_is_refused() {
        let mine = peer_id(&identity(1).id()).unwrap().to_string();
        let theirs = peer_id(&identity(2).id()).unwrap().to_string();
        let refused = edited(&mine, &theirs);
        assert!(matches!(&refused, CardError::Proof { name, .. } if name.contains("ward 7")));
        assert!(refused.to_string().contains(&theirs), "{refused}");
    }

    #[test]
    fn whatever_is_changed_under_way_is_noticed() {
        for (from, to) in [
            ("ward 7", "ward 8"),
            ("192.0.2.7", "192.0.2.8"),
            ("address: /ip4/192.0.2.7/tcp/4040\n", ""),
            ("proof: ", "address: /ip4/10.0.0.1/tcp/1\nproof: "),
        ] {
            assert!(matches!(edited(from, to), CardError::Proof { .. }), "{from}");
        }
        // a manifest's signature is no proof of a card
        let body = card().content;
        let other =
            consort_protocol::hash::digest("manifest", &[&consort_protocol::codec::encode(&body).unwrap()]);
        assert_ne!(signing::body_digest(&body).unwrap(), other);
    }

    #[test]
    fn what_is_no_card_is_refused_with_the_line() {
        assert_eq!(Card::parse("hello"), Err(CardError::Count(0)));
        assert_eq!(Card::parse(&format!("{}{}", card(), card())), Err(CardError::Count(2)));
        assert_eq!(Card::parse(&format!("{END}\n{BEGIN}")), Err(CardError::Count(0)));
        assert_eq!(edited(END, ""), CardError::Count(1));
        assert!(matches!(edited("name: ", "nickname: "), CardError::Line { line: 2, .. }));
        assert!(matches!(edited("name: ", "name "), CardError::Proof { .. } | CardError::Line { .. }));
        assert!(matches!(edited("peer: 12D3", "peer: 12D4"), CardError::Line { line: 3, .. }));
        assert!(matches!(edited("tcp/4040", "tcp"), CardError::Line { line: 4, .. }));
        assert!(matches!(edited("peer: ", "name: again\npeer: "), CardError::Line { line: 3, .. }));
        assert!(matches!(edited("proof: ", "proof: zz"), CardError::Missing(_)));
        assert!(matches!(edited("name: ward 7: upstairs\n", ""), CardError::Missing("name")));
        assert!(matches!(edited("ward 7: upstairs", "\u{1b}[2Jward"), CardError::Entry { .. }));
        assert!(Card::new(&identity(1).signing(), String::new(), &[]).is_err());
    }
}
