//! A participant whom the test plays: it knows its own secrets and may do with them what it likes.
//!
//! Sealing is written out here from its description, so that real members check it against another
//! implementation.

use std::{collections::BTreeMap, sync::Arc};

use chacha20::ChaCha20Rng;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, aead::Aead as _};
use consort_protocol::{
    codec,
    hash::Digest,
    ids::{MemberId, SessionId},
    messages::{
        advertise_keys::Advertisement,
        share_keys::{DealtCommitments, DealtShares, SealedShares},
    },
    roster::{Participant, Session},
    sharing::{MaskKey, SelfMaskSecret, Share, deal},
    signing::{Identity, Signed},
};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

pub(crate) struct Puppet {
    pub(crate) identity: Arc<Identity>,
    pub(crate) mask_key: MaskKey,
    pub(crate) self_mask: SelfMaskSecret,
    sealing: StaticSecret,
    /// What others dealt to it.
    pub(crate) held: BTreeMap<MemberId, DealtShares>,
}

/// A whole dealing, by positions of the roster.
#[derive(Clone)]
pub(crate) struct Dealt {
    pub(crate) commitments: DealtCommitments,
    pub(crate) mask_key: Vec<Share>,
    pub(crate) self_mask: Vec<Share>,
}

impl Puppet {
    pub(crate) fn new(identity: Arc<Identity>, rng: &mut ChaCha20Rng) -> Self {
        Self {
            identity,
            mask_key: MaskKey::generate(rng),
            self_mask: SelfMaskSecret::generate(rng),
            sealing: StaticSecret::random_from_rng(rng),
            held: BTreeMap::new(),
        }
    }

    pub(crate) fn id(&self) -> MemberId {
        self.identity.id()
    }

    pub(crate) fn advertisement(&self, contract: &Digest) -> Advertisement {
        Advertisement {
            contract: *contract,
            mask_key: self.mask_key.public(),
            self_mask: self.self_mask.public_point(),
            sealing_key: PublicKey::from(&self.sealing).to_bytes(),
        }
    }

    pub(crate) fn deal(&self, session: &Session, rng: &mut ChaCha20Rng) -> Dealt {
        let (threshold, members) = (session.threshold(), session.participants().len());
        let mask_key = deal(&self.mask_key, threshold, members, rng).unwrap();
        let self_mask = deal(&self.self_mask, threshold, members, rng).unwrap();
        Dealt {
            commitments: DealtCommitments {
                mask_key: mask_key.commitments,
                self_mask: self_mask.commitments,
            },
            mask_key: mask_key.shares,
            self_mask: self_mask.shares,
        }
    }

    /// The receiver's part of a dealing, not yet signed.
    pub(crate) fn part(&self, session: &Session, dealt: &Dealt, receiver: &MemberId) -> DealtShares {
        let at = session.position(receiver).unwrap();
        DealtShares {
            session: session.id(),
            receiver: *receiver,
            commitments: dealt.commitments.clone(),
            mask_key: dealt.mask_key[at].clone(),
            self_mask: dealt.self_mask[at].clone(),
        }
    }

    pub(crate) fn seal(&self, session: &Session, receiver: &MemberId, part: DealtShares) -> SealedShares {
        let signed = Signed::new(part, &self.identity).unwrap();
        self.seal_bytes(session, receiver, &codec::encode(&signed).unwrap())
    }

    pub(crate) fn seal_bytes(
        &self,
        session: &Session,
        receiver: &MemberId,
        plaintext: &[u8],
    ) -> SealedShares {
        let peer = session.participant(receiver).unwrap();
        let key = self.key(&session.id(), peer, &self.id(), receiver);
        let ciphertext = key.encrypt(&Nonce::default(), plaintext).unwrap();
        SealedShares { session: session.id(), dealer: self.id(), receiver: *receiver, ciphertext }
    }

    /// Opens what somebody dealt to it, and keeps it.
    pub(crate) fn receive(&mut self, session: &Session, sealed: &SealedShares) {
        let dealer = session.participant(&sealed.dealer).unwrap();
        let key = self.key(&session.id(), dealer, &sealed.dealer, &self.id());
        let plaintext = key.decrypt(&Nonce::default(), sealed.ciphertext.as_slice()).unwrap();
        let signed: Signed<DealtShares> = codec::decode(&plaintext).unwrap();
        signed.verify().unwrap();
        self.held.insert(sealed.dealer, signed.body);
    }

    fn key(
        &self,
        session: &SessionId,
        peer: &Participant,
        dealer: &MemberId,
        receiver: &MemberId,
    ) -> ChaCha20Poly1305 {
        seal_key(&self.sealing, &peer.sealing_key, session, dealer, receiver)
    }
}

fn seal_key(
    mine: &StaticSecret,
    peer: &[u8; 32],
    session: &SessionId,
    dealer: &MemberId,
    receiver: &MemberId,
) -> ChaCha20Poly1305 {
    let shared = mine.diffie_hellman(&PublicKey::from(*peer));
    let info = [b"consort/v1/seal".as_slice(), &dealer.0, &receiver.0].concat();
    let mut key = [0u8; 32];
    Hkdf::<Sha256>::new(Some(&session.0), shared.as_bytes()).expand(&info, &mut key).unwrap();
    ChaCha20Poly1305::new(&key.into())
}

/// Real members open what puppets seal, and the other way round; puppets seal as another program does.
#[test]
fn puppets_seal_as_the_other_program_does() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/wire.json")).unwrap();
    let bytes = |name: &str| hex::decode(vectors["seal"][name].as_str().unwrap()).unwrap();
    let array = |name: &str| -> [u8; 32] { bytes(name).try_into().unwrap() };
    let mine = StaticSecret::from(array("secret"));
    let (dealer, receiver) = (MemberId(array("dealer")), MemberId(array("receiver")));
    let key = seal_key(&mine, &array("peer"), &SessionId(array("session")), &dealer, &receiver);
    let sealed = key.encrypt(&Nonce::default(), bytes("plaintext").as_slice()).unwrap();
    assert_eq!(hex::encode(sealed), hex::encode(bytes("ciphertext")));
}
