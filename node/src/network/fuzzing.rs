//! What peers send over gossip and control streams, for [`crate::fuzzing`].

use std::{sync::Arc, time::Instant};

use consort_protocol::ids::MemberId;
use libp2p::gossipsub::Message;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    Event,
    address_book::{AddressBook, Route},
    control,
    gossip::{Judge, Said, topic},
    link::Note,
    streams::Inbox,
};
use crate::{fuzzing::run, identity::NodeIdentity, limits, round::fuzzing::status};

fn author() -> NodeIdentity {
    NodeIdentity::from_secret(&[1; 32])
}

/// The content of a gossip message, as it is judged before it is passed on.
///
/// # Panics
/// Where more passes than the limits allow.
pub fn gossip(bytes: &[u8]) {
    let (author, now) = (author(), Instant::now());
    let message = Message {
        source: Some(author.keypair().public().to_peer_id()),
        data: bytes.to_vec(),
        sequence_number: Some(1),
        topic: topic(&[0; 32]).hash(),
    };
    match Judge::new([author.id()]).judge(&message, now) {
        Err(refusal) => drop(refusal.acceptance()),
        Ok((_, Said::Application(bytes))) => assert!(bytes.len() <= limits::MAX_GOSSIP_BYTES),
        Ok((member, Said::Presence(heard))) => {
            assert!(heard.addresses.len() <= limits::MAX_ADDRESSES);
            assert!(heard.status.len() <= limits::MAX_STATUS_BYTES);
            status(&heard.status);
            let mut book = AddressBook::new([(member, Vec::new())]);
            let _ = book.hear(&member, heard, Route::Gossip { connected: false });
        }
    }
}

/// All that a peer says on a control stream.
///
/// # Panics
/// Where more is passed on than was said, or than the limits allow.
pub fn frame(bytes: &[u8]) {
    let member = author().id();
    run(async {
        let (events, mut delivered) = mpsc::channel(1);
        let (notes, mut told) = mpsc::channel(1);
        let (_announce, connected) = watch::channel(Arc::new([member].into()));
        let inbox = Inbox { events, notes, connected, traffic: Arc::default() };
        let places = Arc::new(Semaphore::new(limits::MAX_UNREAD_FRAMES));
        let reading = control::read(member, bytes, places, inbox);
        let frames = async {
            let mut taken = 0;
            while let Some(queued) = delivered.recv().await {
                taken += passed_on(member, &queued.event);
            }
            taken
        };
        let exchanges = async {
            while let Some(note) = told.recv().await {
                check(&note);
            }
        };
        let (_, taken, ()) = tokio::join!(reading, frames, exchanges);
        assert!(taken <= bytes.len(), "{taken} bytes of {}", bytes.len());
    });
}

fn passed_on(member: MemberId, event: &Event) -> usize {
    let Event::Frame { from, bytes } = event else { panic!("a control stream brings frames") };
    assert_eq!(*from, member);
    assert!(bytes.len() <= limits::MAX_FRAME_BYTES);
    bytes.len()
}

fn check(note: &Note) {
    let Note::Told { mine, others, .. } = note else { panic!("a control stream brings exchanges") };
    assert!(mine.addresses.len() <= limits::MAX_ADDRESSES && mine.status.len() <= limits::MAX_STATUS_BYTES);
    assert!(others.len() <= limits::MAX_EXCHANGE_MEMBERS);
    assert!(others.iter().all(|(_, addresses)| addresses.len() <= limits::MAX_ADDRESSES));
}
