//! Every message, byte for byte as an independent program writes it (`vectors/generate_wire.py`).

use std::sync::Arc;

use consort_protocol::{
    array::Dtype,
    codec,
    contract::{Task, Terms},
    encoding::{Beyond, Chunk, Encoding, Leaf, Reduction, VectorSpec},
    evidence::Evidence,
    hash::Digest,
    ids::MemberId,
    manifest::{Manifest, ManifestBody, MemberEntry, Policy, SignedManifest},
    messages::{
        Abort, Message,
        advertise_keys::{Advertisement, Decline, Roster},
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::{
            Abandonment, KnownCommitments, LatestVote, NewSlot, Passage, SessionProof, ShownNewSlot,
            ShownTimeout, StandbyReceipt, StandbyRequest, Timeout,
        },
        masked_input::{MaskedInput, chunk_digest, vector_root},
        publish::{Acknowledgement, Published, Sum},
        reminder::Reminder,
        share_keys::{DealtCommitments, DealtShares, MaskSet, Receipt, SealedShares},
        unmasking::{Reveal, RevealedShare},
    },
    opening::Opening,
    phase::Phase,
    report::AbortReason,
    roster::{SeenKeys, Session},
    sharing::{Commitments, PublicMaskKey, PublicPoint, Share, UncheckedSecret},
    signing::{Identity, Signed, Statement, sign_body},
};
use serde_json::Value as Json;

const SLOT: u32 = 1;

fn vectors() -> Json {
    serde_json::from_str(include_str!("vectors/wire.json")).unwrap()
}

fn bytes(value: &Json) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn identity(seed: u8) -> Identity {
    Identity::from_secret(&[seed; 32])
}

/// A point that is somebody's public key.
fn point(seed: u8) -> [u8; 32] {
    identity(seed).id().0
}

fn sign<T: Statement>(body: T, by: &Identity) -> Box<Signed<T>> {
    Box::new(Signed::new(body, by).unwrap())
}

fn members() -> Vec<Identity> {
    let mut members: Vec<Identity> = (1..=3).map(identity).collect();
    members.sort_by_key(Identity::id);
    members
}

fn signed_manifest() -> SignedManifest {
    let entry = |seed: u8| MemberEntry {
        id: identity(seed).id(),
        name: format!("node {seed}"),
        addresses: vec!["/ip4/10.0.0.1/tcp/4001".into()],
        may_aggregate: true,
    };
    let policy = Policy {
        corrupt: Some(1),
        min_survivors: None,
        min_participants: Some(3),
        planned_losses: None,
        clip: 16.0,
        step_log2: -16,
        max_weight: 1 << 20,
        integer_bound: Some(1 << 40),
        max_vector: 1 << 27,
        gather_ms: 5000,
        deadline_ms: 10_000,
        standby_bytes: 64 << 20,
    };
    let members = (1..=3).map(entry).collect();
    let mut signed =
        SignedManifest::new(ManifestBody { name: "wire".into(), epoch: 0, previous: None, members, policy });
    (1..=3).for_each(|seed| signed.sign(&identity(seed)).unwrap());
    signed
}

fn terms(manifest: Arc<Manifest>) -> Arc<Terms> {
    let fixed = Encoding::Fixed { step_log2: -16, clip: 16.0, beyond: Beyond::Refuse };
    let leaves = vec![
        Leaf { shape: vec![3, 70_000], dtype: Dtype::F32, encoding: fixed },
        Leaf { shape: vec![], dtype: Dtype::U16, encoding: Encoding::Integer { bound: 1000 } },
    ];
    let spec = VectorSpec { leaves, reduction: Reduction::WeightedMean { max_weight: 1 << 20 } };
    let task = Task { label: Some("ward".into()), query: [2; 32], spec };
    Arc::new(Terms::new(manifest, 300, 2, SLOT, task).unwrap())
}

fn roster(terms: &Terms) -> Roster {
    let sealing = |n: u8| {
        let secret = x25519_dalek::StaticSecret::from([40 + n; 32]);
        x25519_dalek::PublicKey::from(&secret).to_bytes()
    };
    let advertisement = |(n, member): (u8, &Identity)| {
        let body = Advertisement {
            contract: *terms.digest(),
            mask_key: PublicMaskKey::from_bytes(point(50 + n)).unwrap(),
            self_mask: PublicPoint::from_bytes(point(60 + n)).unwrap(),
            sealing_key: sealing(n),
        };
        *sign(body, member)
    };
    let advertisements = (0..).zip(&members()).map(advertisement).collect();
    Roster { contract: *terms.digest(), advertisements }
}

fn secret(number: u8) -> UncheckedSecret {
    let mut bytes = [0; 32];
    bytes[0] = number;
    UncheckedSecret::try_from(bytes).unwrap()
}

fn share(number: u8) -> Share {
    let mut bytes = [0; 32];
    bytes[0] = number;
    Share::from_bytes(bytes).unwrap()
}

/// The one constructor that others have is decoding.
fn commitments(first: u8) -> Commitments {
    let points: Vec<[u8; 32]> = (first..first + 3).map(point).collect();
    codec::decode(&codec::encode(&points).unwrap()).unwrap()
}

struct Attempt {
    terms: Arc<Terms>,
    session: Session,
    commitments: DealtCommitments,
    mask_set: Signed<MaskSet>,
    root: Digest,
    survivors: SurvivorSet,
    messages: Vec<(&'static str, Message)>,
}

fn attempt() -> Attempt {
    let terms = terms(Arc::new(signed_manifest().verify().unwrap()));
    let members = members();
    let aggregator = members.iter().find(|member| member.id() == terms.aggregator()).unwrap();
    let (me, other) = (&members[0], &members[1]);
    let roster = sign(roster(&terms), aggregator);
    let session = Session::new(terms.clone(), &roster, &SeenKeys::default()).unwrap();
    let id = session.id();

    let commitments = DealtCommitments { mask_key: commitments(70), self_mask: commitments(80) };
    let confirmed: Vec<(MemberId, Digest)> =
        (90..).zip(&members).map(|(n, member)| (member.id(), [n; 32])).collect();
    let receipt = sign(Receipt { session: id, confirmed: confirmed.clone() }, me);
    let mask_set = sign(MaskSet { session: id, dealers: confirmed }, aggregator);
    let chunk = |index| Chunk { index, segment: 0, start: 0, len: 1, bits: 32 };
    let chunks: Vec<Digest> = (0..300u32).map(|n| chunk_digest(&chunk(n), &[n as u8, 1, 2, 3])).collect();
    let root = vector_root(&chunks);
    let input = |(n, member): (u8, &Identity)| {
        let root = if member.id() == me.id() { root } else { [n; 32] };
        *sign(MaskedInput { session: id, mask_set: mask_set.digest(), root }, member)
    };
    let inputs: Vec<Signed<MaskedInput>> = (100..).zip(&members).map(input).collect();
    let survivors = SurvivorSet::of(&inputs);
    let standing = StandbyReceipt { session: id, slot: SLOT, survivors: survivors.digest() };
    let standby_receipt = sign(standing, other);
    let proposed =
        Proposed::Survivors { statements: inputs.clone(), standbys: vec![(*standby_receipt).clone()] };
    let proposal = sign(Proposal { session: id, slot: SLOT, value: proposed }, aggregator);
    let value = Value::Survivors(survivors.digest());
    let vote = Vote { session: id, slot: SLOT, value };
    let votes = members.iter().map(|member| (member.id(), sign_body(&vote, member).unwrap())).collect();
    let certificate = Certificate { session: id, slot: SLOT, survivors: survivors.clone(), votes };
    let shares =
        [(me.id(), RevealedShare::SelfMask(share(9))), (other.id(), RevealedShare::PairwiseKey(share(10)))];
    let reveal = Reveal { session: id, survivors: survivors.digest(), shares: shares.into() };
    let sum = Sum { session: id, survivors: survivors.digest(), root: [110; 32] };
    let published = Published {
        sum: *sign(sum, aggregator),
        certificate: certificate.clone(),
        mask_set: (*mask_set).clone(),
        opening: Some(Opening::made_up(vec![secret(11), secret(12)])),
    };
    let acknowledgement = Acknowledgement { session: id, root: [110; 32] };
    let reason = AbortReason::TooFewMembers { phase: Phase::ConsistencyCheck, found: 2, needed: 70_000 };
    let abort = Abort { contract: *terms.digest(), slot: SLOT, phase: Phase::ConsistencyCheck, reason };
    let decline = Decline { contract: *terms.digest(), reason: "another question: äöü".into() };
    let ciphertext = bytes(&vectors()["seal"]["ciphertext"]);
    let sealed = SealedShares { session: id, dealer: me.id(), receiver: other.id(), ciphertext };

    let timeout = Timeout {
        session: id,
        slot: SLOT,
        mask_set: Some(mask_set.digest()),
        vote: Some(LatestVote { slot: SLOT, value }),
    };
    let timeout = sign(timeout, me);
    let proof = SessionProof { attempt: 2, slot: SLOT, roster: (*roster).clone() };
    let passage = Passage { new_slot: None, proposal: (*proposal).clone() };
    let shown = ShownTimeout {
        timeout: (*timeout).clone(),
        session: proof.clone(),
        mask_set: Some((*mask_set).clone()),
        history: vec![passage.clone()],
    };
    let silent = sign(Timeout { session: id, slot: SLOT, mask_set: None, vote: None }, other);
    let timeouts = vec![(*timeout).clone(), (*silent).clone()];
    let next = members.iter().find(|member| Some(member.id()) == terms.holder(SLOT + 1)).unwrap();
    let new_slot = sign(NewSlot { session: id, slot: SLOT + 1, timeouts }, next);
    let abandon = Proposal { session: id, slot: SLOT + 1, value: Proposed::Abandon };
    let later = Passage { new_slot: Some((*new_slot).clone()), proposal: *sign(abandon, next) };
    let shown_slot = ShownNewSlot {
        new_slot: *new_slot,
        mask_set: None,
        history: vec![passage, later],
        missing: vec![other.id()],
    };
    let known = KnownCommitments { session: id, dealers: vec![(me.id(), commitments.clone())] };
    let standby = StandbyRequest { session: id, slot: SLOT, survivors: survivors.clone() };
    let end = Vote { session: id, slot: SLOT + 1, value: Value::Abandon };
    let votes = members.iter().map(|member| (member.id(), sign_body(&end, member).unwrap())).collect();
    let abandonment = Abandonment { session: proof, slot: SLOT + 1, votes };
    let second = Vote { session: id, slot: SLOT, value: Value::Abandon };
    let evidence = Evidence::conflict(&session, &*sign(vote, me), &*sign(second, me)).unwrap();
    let previous = Some(*terms.manifest().digest());
    let next = ManifestBody { epoch: 1, previous, ..terms.manifest().body().clone() };
    let mut next = SignedManifest::new(next);
    members.iter().for_each(|member| next.sign(member).unwrap());

    let advertisement = roster.body.advertisements[0].clone();
    let reminder = Reminder { contract: terms.contract().clone(), advertisement };
    assert_eq!(reminder.of(&reminder.advertisement.signer), Some(terms.contract()));

    let messages = vec![
        ("contract", Message::Contract(Box::new(terms.sign(aggregator).unwrap()))),
        ("advertise", Message::Advertise(Box::new(roster.body.advertisements[0].clone()))),
        ("decline", Message::Decline(sign(decline, me))),
        ("roster", Message::Roster(roster.clone())),
        ("shares", Message::Shares(Box::new(sealed))),
        ("receipt", Message::Receipt(receipt, Box::new(commitments.clone()))),
        ("mask set", Message::MaskSet(mask_set.clone())),
        ("masked input", Message::MaskedInput(Box::new(inputs[0].clone()))),
        ("proposal", Message::Proposal(proposal)),
        ("vote", Message::Vote(sign(vote, me))),
        ("certificate", Message::Certificate(Box::new(certificate))),
        ("reveal", Message::Reveal(sign(reveal, me))),
        ("published", Message::Published(Box::new(published))),
        ("acknowledge", Message::Acknowledge(sign(acknowledgement, me))),
        ("abort", Message::Abort(sign(abort, aggregator))),
        ("alive", Message::Alive(*terms.digest())),
        ("timeout", Message::Timeout(Box::new(shown))),
        ("timed out", Message::TimedOut(timeout)),
        ("new slot", Message::NewSlot(Box::new(shown_slot))),
        ("commitments", Message::Commitments(Box::new(known))),
        ("standby", Message::Standby(Box::new(standby))),
        ("standby receipt", Message::StandbyReceipt(standby_receipt)),
        ("abandonment", Message::Abandonment(Box::new(abandonment))),
        ("evidence", Message::Evidence(Box::new(evidence))),
        ("manifest", Message::Manifest(Box::new(next))),
        ("reminder", Message::Reminder(Box::new(reminder))),
    ];
    Attempt { terms, session, commitments, mask_set: *mask_set, root, survivors, messages }
}

#[test]
fn every_message_is_written_as_the_other_program_writes_it() {
    let (vectors, attempt) = (vectors(), attempt());
    let expected = vectors["messages"].as_object().unwrap();
    assert_eq!(attempt.messages.len(), expected.len());
    for (name, message) in &attempt.messages {
        assert_eq!(hex::encode(codec::encode(message).unwrap()), expected[*name].as_str().unwrap(), "{name}");
    }
}

#[test]
fn every_message_is_read_back() {
    for (name, message) in vectors()["messages"].as_object().unwrap() {
        let written = bytes(message);
        let read: Message = codec::decode(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(codec::encode(&read).unwrap(), written, "{name}");
        let mut longer = written.clone();
        longer.push(0);
        assert_eq!(codec::decode::<Message>(&longer).err(), Some(codec::CodecError::Trailing(1)), "{name}");
        for end in 0..written.len() {
            assert!(codec::decode::<Message>(&written[..end]).is_err(), "{name} cut off at {end}");
        }
    }
}

#[test]
fn another_version_is_not_read() {
    for message in vectors()["messages"].as_object().unwrap().values() {
        let mut written = bytes(message);
        written[0] = 2;
        let error = codec::decode::<Message>(&written).err().unwrap();
        assert_eq!(error, codec::CodecError::Version { found: 2 });
    }
}

#[test]
fn the_manifest_is_written_signed_and_named_alike() {
    let vectors = vectors();
    let written = bytes(&vectors["manifest"]);
    assert_eq!(hex::encode(codec::encode(&signed_manifest()).unwrap()), hex::encode(&written));
    let read: SignedManifest = codec::decode(&written).unwrap();
    assert_eq!(read, signed_manifest());
    assert_eq!(read.verify().unwrap().digest().to_vec(), bytes(&vectors["digests"]["manifest"]));
}

#[test]
fn everything_has_the_same_name() {
    let (vectors, attempt) = (vectors(), attempt());
    for (name, digest) in [
        ("contract", *attempt.terms.digest()),
        ("session", attempt.session.id().0),
        ("commitments", attempt.commitments.digest()),
        ("mask_set", attempt.mask_set.digest()),
        ("root", attempt.root),
        ("survivors", attempt.survivors.digest()),
    ] {
        assert_eq!(digest.to_vec(), bytes(&vectors["digests"][name]), "{name}");
    }
}

/// The plaintext of sealed shares; how they are sealed is checked where shares are opened.
#[test]
fn dealt_shares_are_written_alike() {
    let (vectors, attempt, members) = (vectors(), attempt(), members());
    let dealt = DealtShares {
        session: attempt.session.id(),
        receiver: members[1].id(),
        commitments: attempt.commitments,
        mask_key: share(7),
        self_mask: share(8),
    };
    let written = codec::encode(&*sign(dealt, &members[0])).unwrap();
    assert_eq!(written, bytes(&vectors["seal"]["plaintext"]));
}
