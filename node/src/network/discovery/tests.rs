use super::*;
use crate::identity::NodeIdentity;

struct Scene {
    dialer: Dialer,
    book: AddressBook,
    others: Vec<MemberId>,
    now: Instant,
}

fn scene(count: u8, known: bool) -> Scene {
    let now = Instant::now();
    let mut ids: Vec<_> = (0..=count).map(|seed| NodeIdentity::from_secret(&[seed; 32]).id()).collect();
    ids.sort();
    let local = ids.remove(0);
    let peers = ids.iter().map(|id| (*id, crate::identity::peer_id(id).unwrap())).collect();
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let addresses = if known { vec![address] } else { vec![] };
    let book = AddressBook::new(ids.iter().map(|id| (*id, addresses.clone())));
    Scene { dialer: Dialer::new(local, peers, false, now), book, others: ids, now }
}

fn there() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/1".parse().unwrap()
}

/// The relay is member 0 and connected, and leads to member 1.
fn with_relay(direct: bool) -> Scene {
    let mut scene = scene(2, false);
    let relay = identity::peer_id(&scene.others[0]).unwrap();
    scene.dialer.established(ConnectionId::new_unchecked(77), &scene.others[0], Some(&there()), scene.now);
    scene.book.hint(&scene.others[1], vec![relay::through(relay)]);
    if direct {
        scene.book.hint(&scene.others[1], vec![there()]);
    }
    scene
}

fn dial(scene: &mut Scene) -> (ConnectionId, String) {
    let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("one dial is due") };
    (dial.connection_id(), format!("{dial:?}"))
}

#[test]
fn a_relay_is_tried_at_once_after_the_direct_addresses() {
    let mut scene = with_relay(true);
    for _ in 0..3 {
        let (connection, options) = dial(&mut scene);
        assert!(!options.contains("p2p-circuit"), "{options}");
        scene.dialer.failed(connection, &scene.book, scene.now);
        let (connection, options) = dial(&mut scene);
        assert!(options.contains("p2p-circuit"), "{options}");
        scene.dialer.failed(connection, &scene.book, scene.now);
        scene.now = scene.dialer.wake(&scene.book).unwrap();
    }
}

#[test]
fn whoever_can_be_dialled_leaves_it_to_the_other_end_first() {
    let mut scene = with_relay(false);
    scene.dialer.dialable = true;
    let soonest = scene.dialer.wake(&scene.book).unwrap();
    assert!(soonest >= scene.now + limits::RELAY_HEAD_START);
    scene.now = soonest;
    let (_, options) = dial(&mut scene);
    assert!(options.contains("p2p-circuit"));
}

#[test]
fn direct_addresses_that_have_just_failed_are_left_alone_for_a_while() {
    let mut scene = with_relay(true);
    let (direct, _) = dial(&mut scene);
    scene.dialer.failed(direct, &scene.book, scene.now);
    let (relayed, _) = dial(&mut scene);
    let member = scene.others[1];
    scene.dialer.established(relayed, &member, None, scene.now);
    assert_eq!(scene.dialer.wake(&scene.book).unwrap() - scene.now, limits::DIRECT_RETRY);
}

#[test]
fn only_relays_that_are_connected_directly_are_used() {
    let mut scene = with_relay(false);
    let (connection, _) = dial(&mut scene);
    scene.dialer.failed(connection, &scene.book, scene.now);
    let relay = scene.others[0];
    scene.dialer.disconnected(&relay, true, scene.now);
    assert!(scene.dialer.wake(&scene.book).is_none());
    scene.dialer.established(ConnectionId::new_unchecked(78), &relay, Some(&there()), scene.now);
    scene.now = scene.dialer.wake(&scene.book).unwrap();
    dial(&mut scene);
}

#[test]
fn a_direct_connection_is_tried_while_a_relay_serves() {
    let mut scene = with_relay(false);
    let member = scene.others[1];
    let (connection, options) = dial(&mut scene);
    assert!(options.contains("p2p-circuit"));
    scene.dialer.established(connection, &member, None, scene.now);
    assert!(scene.dialer.direct(&member).is_none());
    assert!(scene.dialer.wake(&scene.book).is_none(), "there is no direct address");
    scene.book.hint(&member, vec![there()]);
    scene.now = scene.dialer.wake(&scene.book).unwrap();
    let (connection, options) = dial(&mut scene);
    assert!(!options.contains("p2p-circuit"));
    scene.dialer.failed(connection, &scene.book, scene.now);
    assert_eq!(scene.dialer.wake(&scene.book).unwrap() - scene.now, limits::DIRECT_RETRY);
    scene.dialer.hasten(&member, scene.now);
    scene.now = scene.dialer.wake(&scene.book).unwrap();
    let (connection, _) = dial(&mut scene);
    scene.dialer.established(connection, &member, Some(&there()), scene.now);
    assert!(scene.dialer.direct(&member) == Some(&there()) && scene.dialer.wake(&scene.book).is_none());
    scene.dialer.relay_is_left(&member, scene.now);
    assert!(scene.dialer.wake(&scene.book).unwrap() < scene.now + limits::DIRECT_RETRY);
}

#[test]
fn dials_a_handful_at_a_time_and_nobody_without_an_address() {
    assert!(scene(20, false).dialer.wake(&scene(20, false).book).is_none());
    let mut scene = scene(20, true);
    let dials = scene.dialer.due(&scene.book, scene.now);
    assert_eq!(dials.len(), limits::MAX_DIALS);
    assert!(scene.dialer.wake(&scene.book).is_none());
    assert!(scene.dialer.due(&scene.book, scene.now).is_empty());
    scene.dialer.failed(dials[0].connection_id(), &scene.book, scene.now);
    assert_eq!(scene.dialer.due(&scene.book, scene.now).len(), 1);
}

#[test]
fn pauses_double_up_to_the_longest() {
    let mut scene = scene(1, true);
    let mut last = Duration::ZERO;
    for round in 0..40 {
        let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("one dial is due") };
        scene.dialer.failed(dial.connection_id(), &scene.book, scene.now);
        let next = scene.dialer.wake(&scene.book).unwrap();
        last = next - scene.now;
        assert!(
            last >= limits::DIAL_BACKOFF_MIN && last <= limits::DIAL_BACKOFF_MAX,
            "round {round}: {last:?}"
        );
        scene.now = next;
    }
    assert!(last >= limits::DIAL_BACKOFF_MAX.mul_f64(0.7));
}

#[test]
fn a_member_that_refuses_us_is_not_called_without_end() {
    let mut scene = scene(1, true);
    let member = scene.others[0];
    for _ in 0..10 {
        let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("one dial is due") };
        scene.dialer.established(dial.connection_id(), &member, Some(&there()), scene.now);
        assert!(scene.dialer.wake(&scene.book).is_none(), "connected");
        scene.dialer.disconnected(&member, false, scene.now);
        scene.now = scene.dialer.wake(&scene.book).unwrap();
    }
    let before = scene.now;
    scene.dialer.disconnected(&member, false, before);
    assert!(scene.dialer.wake(&scene.book).unwrap() - before > limits::DIAL_BACKOFF_MAX / 2);
    scene.dialer.disconnected(&member, true, before);
    assert!(scene.dialer.wake(&scene.book).unwrap() - before < Duration::from_secs(2), "it had welcomed us");
}

#[test]
fn a_seed_is_dialled_until_its_owner_is_connected() {
    let mut scene = scene(1, false);
    let member = scene.others[0];
    scene.dialer.add_seed("/ip4/127.0.0.1/tcp/9".parse().unwrap(), scene.now);
    let [dial] = &scene.dialer.due(&scene.book, scene.now)[..] else { panic!("the seed is due") };
    scene.dialer.established(dial.connection_id(), &member, Some(&there()), scene.now);
    assert!(scene.dialer.wake(&scene.book).is_none());
    scene.dialer.disconnected(&member, true, scene.now);
    assert!(scene.dialer.wake(&scene.book).is_some());
}
