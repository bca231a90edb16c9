//! What an honest aggregator does not take, and from whom: the attempt goes on as if it had not been said.

use std::sync::Arc;

use consort_protocol::{
    fault::FaultKind,
    hash::Digest,
    ids::MemberId,
    messages::{Message, advertise_keys::Decline, unmasking::RevealedShare},
    signing::{Identity, Signature, Signed, Statement},
    sim::Envelope,
};

use crate::{
    evil_members::{blamed, resign},
    monitor::{Scene, bytes},
};

/// What a receipt lists.
type Confirmed = Vec<(MemberId, Digest)>;

fn by<T: Statement + Clone>(signed: &Signed<T>, identity: &Identity) -> Box<Signed<T>> {
    Box::new(Signed::new(signed.body.clone(), identity).unwrap())
}

/// Says what this message says in the name of somebody else, who signs it.
fn imitate(envelope: &Envelope, identity: &Identity) -> Option<Envelope> {
    let message = match &envelope.message {
        Message::Advertise(it) => Message::Advertise(by(it, identity)),
        Message::Receipt(it, commitments) => Message::Receipt(by(it, identity), commitments.clone()),
        Message::MaskedInput(it) => Message::MaskedInput(by(it, identity)),
        Message::Vote(it) => Message::Vote(by(it, identity)),
        Message::Reveal(it) => Message::Reveal(by(it, identity)),
        Message::Acknowledge(it) => Message::Acknowledge(by(it, identity)),
        Message::StandbyReceipt(it) => Message::StandbyReceipt(by(it, identity)),
        _ => return None,
    };
    Some(Envelope { from: identity.id(), to: envelope.to, message })
}

/// Lets `outsider` imitate the first message of each kind as early as it can be.
fn imitated(scene: &Scene, outsider: &Identity, keep_out: impl Fn(&Envelope) -> bool) -> (Vec<u8>, usize) {
    let mut tried: Vec<u8> = Vec::new();
    let id = outsider.id();
    let played = scene.play(4, |envelope| {
        if keep_out(&envelope) {
            return Vec::new();
        }
        let kind = bytes(&envelope.message)[1];
        let own = envelope.from == id;
        match imitate(&envelope, outsider).filter(|_| !own && !tried.contains(&kind)) {
            Some(false_one) => {
                tried.push(kind);
                // nobody has another's keys before the aggregator
                match envelope.message {
                    Message::Advertise(_) => vec![envelope, false_one],
                    _ => vec![false_one, envelope],
                }
            }
            None => vec![envelope],
        }
    });
    let named = blamed(&played, scene, &FaultKind::Stranger(id));
    assert!(named.iter().all(|who| *who == id));
    assert!(!played.survivors().contains(&id));
    assert_eq!(played.survivors().len(), 7);
    (tried, named.len())
}

/// On the roster, but left out of the mask set: it has no vector, no vote and no shares to reveal.
#[test]
fn somebody_outside_of_the_mask_set() {
    let scene = Scene::new(8, 3, 0);
    let outsider = scene.member(3);
    let id = outsider.id();
    let (tried, refused) = imitated(
        &scene,
        &outsider,
        |envelope| matches!(&envelope.message, Message::Shares(sealed) if sealed.dealer == id),
    );
    // advertisement, receipt, acknowledgement and standing by are for everybody on the roster, and who reveals may have
    // been shown another mask set
    assert_eq!((tried.len(), refused), (7, 2));
}

/// A member that is not on the roster.
#[test]
fn somebody_outside_of_the_roster() {
    let scene = Scene::new(8, 3, 0);
    let outsider = scene.member(3);
    let id = outsider.id();
    let (tried, refused) = imitated(
        &scene,
        &outsider,
        |envelope| matches!(&envelope.message, Message::Advertise(it) if it.signer == id),
    );
    // the imitated advertisement has another member's keys
    assert_eq!((tried.len(), refused), (7, 6));
}

#[test]
fn statements_of_another_session() {
    let scene = Scene::new(8, 3, 0);
    let liar = [scene.member(3)];
    let mut tried = 0;
    let played = scene.play(4, |envelope| {
        let mut other = envelope.clone();
        let changed = match &mut other.message {
            Message::Advertise(it) => resign(it, &liar, |body| body.contract[0] ^= 1),
            Message::Receipt(it, _) => resign(it, &liar, |body| body.session.0[0] ^= 1),
            Message::MaskedInput(it) => resign(it, &liar, |body| body.session.0[0] ^= 1),
            Message::Reveal(it) => {
                let survivors = resign(it, &liar, |body| body.survivors[0] ^= 1);
                let changed = resign(it, &liar, |body| {
                    body.survivors[0] ^= 1;
                    body.session.0[0] ^= 1;
                });
                survivors && changed
            }
            Message::Acknowledge(it) => resign(it, &liar, |body| body.session.0[0] ^= 1),
            _ => false,
        };
        tried += usize::from(changed);
        if changed { vec![other, envelope] } else { vec![envelope] }
    });
    assert_eq!(tried, 5);
    assert_eq!(blamed(&played, &scene, &FaultKind::Session), vec![liar[0].id(); 5]);
    assert_eq!((played.survivors().len(), played.report.aggregates.len()), (8, 8));
}

#[test]
fn an_acknowledgement_or_a_reveal_of_something_else() {
    let scene = Scene::new(8, 3, 0);
    let liar = [scene.member(3)];
    let played = scene.play(4, |envelope| {
        let mut other = envelope.clone();
        let changed = match &mut other.message {
            Message::Acknowledge(it) => resign(it, &liar, |body| body.root[0] ^= 1),
            Message::Reveal(it) => resign(it, &liar, |body| body.survivors[0] ^= 1),
            _ => false,
        };
        if changed { vec![other, envelope] } else { vec![envelope] }
    });
    assert_eq!(blamed(&played, &scene, &FaultKind::Session), vec![liar[0].id(); 2]);
    assert_eq!(played.report.aggregates.len(), 8);
}

#[test]
fn receipts_that_are_not_in_order() {
    let scene = Scene::new(8, 3, 0);
    let liar = [scene.member(3)];
    let id = liar[0].id();
    let stranger = crate::world::stranger().id();
    let played = scene.play(4, |envelope| {
        let Message::Receipt(it, commitments) = &envelope.message else { return vec![envelope] };
        if it.signer != id {
            return vec![envelope];
        }
        let variant = |change: &dyn Fn(&mut Confirmed)| {
            let mut signed = it.clone();
            resign(&mut signed, &liar, |body| change(&mut body.confirmed));
            Envelope { message: Message::Receipt(signed, commitments.clone()), ..envelope.clone() }
        };
        let mine = |entry: &(MemberId, Digest)| entry.0 == id;
        vec![
            variant(&|confirmed| confirmed.swap(0, 1)),
            variant(&|confirmed| confirmed.insert(0, confirmed[0])),
            variant(&|confirmed| {
                confirmed.push((stranger, [0; 32]));
                confirmed.sort_unstable();
            }),
            variant(&|confirmed| confirmed.retain(|entry| !mine(entry))),
            variant(&|confirmed| confirmed.iter_mut().find(|entry| mine(entry)).unwrap().1[0] ^= 1),
            envelope,
        ]
    });
    for (kind, times) in
        [(FaultKind::Order, 2), (FaultKind::Stranger(stranger), 1), (FaultKind::Commitments, 2)]
    {
        assert_eq!(blamed(&played, &scene, &kind), vec![id; times], "{kind}");
    }
    assert_eq!((played.survivors().len(), played.report.aggregates.len()), (8, 8));
}

/// Keys of somebody else make no advertisement, even signed.
#[test]
fn an_advertisement_with_the_keys_of_another() {
    for which in 0..2 {
        let scene = Scene::new(8, 3, 0);
        let liar = [scene.member(3)];
        let mut other = None;
        let mut held = None;
        let played = scene.play(4, |envelope| {
            let Message::Advertise(it) = &envelope.message else { return vec![envelope] };
            if it.signer == liar[0].id() {
                held = Some(envelope);
            } else {
                other = Some(it.body.clone());
                let Some(mut copied) = held.take() else { return vec![envelope] };
                let honest = copied.clone();
                if let Message::Advertise(it) = &mut copied.message {
                    let taken = other.clone().unwrap();
                    resign(it, &liar, |body| match which {
                        0 => body.self_mask = taken.self_mask,
                        _ => body.sealing_key = body.mask_key.to_bytes(),
                    });
                }
                return vec![envelope, copied, honest];
            }
            Vec::new()
        });
        assert_eq!(blamed(&played, &scene, &FaultKind::Key), [liar[0].id()]);
        assert_eq!((played.survivors().len(), played.report.aggregates.len()), (8, 8));
    }
}

/// Nobody but a member itself can take it out of an attempt, and only out of this one.
#[test]
fn somebody_declines_for_another() {
    let scene = Scene::new(8, 3, 0);
    let (liar, victim) = (scene.member(3), scene.member(4));
    let contract = *scene.terms.digest();
    let decline =
        |contract, by: &Arc<Identity>| Signed::new(Decline { contract, reason: "no".into() }, by).unwrap();
    let real = decline(contract, &victim);
    let broken = Signature::from_bytes(&[1; 64]);
    let forgeries = [
        (liar.id(), real.clone(), FaultKind::Author { signer: victim.id(), expected: liar.id() }),
        (victim.id(), decline([1; 32], &victim), FaultKind::Session),
        (victim.id(), Signed::from_parts(real.body.clone(), victim.id(), broken), FaultKind::Signature),
    ];
    for (from, forged, kind) in forgeries {
        let mut waiting = None;
        let mut seen = 0;
        let played = scene.play(4, |envelope| {
            let Message::Advertise(it) = &envelope.message else { return vec![envelope] };
            seen += 1;
            let mut said = Vec::new();
            if seen == 1 {
                let message = Message::Decline(Box::new(forged.clone()));
                said.push(Envelope { from, to: scene.terms.aggregator(), message });
            }
            if it.signer == victim.id() {
                waiting = Some(envelope);
            } else {
                said.push(envelope);
            }
            // the victim comes last
            if seen == 8 {
                said.extend(waiting.take());
            }
            said
        });
        assert_eq!(blamed(&played, &scene, &kind), [from]);
        assert_eq!(played.survivors().len(), 8, "{kind}");
    }
}

#[test]
fn who_declines_is_not_waited_for() {
    let scene = Scene::new(8, 3, 0);
    let leaving = scene.member(4);
    let body = Decline { contract: *scene.terms.digest(), reason: "no input".into() };
    let decline = Signed::new(body, &leaving).unwrap();
    let played = scene.play(4, |mut envelope| {
        if matches!(&envelope.message, Message::Advertise(it) if it.signer == leaving.id()) {
            envelope.message = Message::Decline(Box::new(decline.clone()));
        }
        vec![envelope]
    });
    assert_eq!(played.survivors().len(), 7);
}

/// The first reveal of a member counts, whatever it says later.
#[test]
fn a_second_reveal_does_not_replace_the_first() {
    let scene = Scene::new(8, 3, 0);
    let liars = [scene.member(0), scene.member(1), scene.member(2)];
    let played = scene.play(4, |envelope| {
        let mut second = envelope.clone();
        let changed = match &mut second.message {
            Message::Reveal(it) => resign(it, &liars, |body| {
                for share in body.shares.values_mut() {
                    let (RevealedShare::SelfMask(it) | RevealedShare::PairwiseKey(it)) = share;
                    let mut bytes = it.to_bytes();
                    bytes[0] ^= 1;
                    *it = consort_protocol::sharing::Share::from_bytes(bytes).unwrap();
                }
            }),
            _ => false,
        };
        if changed { vec![envelope, second] } else { vec![envelope] }
    });
    assert_eq!(blamed(&played, &scene, &FaultKind::Share), []);
    assert_eq!((played.survivors().len(), played.report.aggregates.len()), (8, 8));
}
