//! Members find each other, lose each other, and find each other again.

use std::collections::BTreeSet;

use consort_node::network::{self, Event, Network, NetworkConfig, NetworkError, SendError};
use libp2p::multiaddr::Protocol;

use super::consortium::{Node, QUIC, TCP, config, id, identity, line, manifest, within};

async fn a_line_of_knowledge_becomes_a_full_mesh(listen: &str) {
    let mut nodes = line(5, listen).await;
    let senders: Vec<_> =
        nodes.iter().map(|node| tokio::spawn(greet_whoever_connects(node.network.clone()))).collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        let (mut met, mut heard) = (BTreeSet::new(), BTreeSet::new());
        while heard.len() < 4 {
            match within(node.events.next()).await.unwrap() {
                Event::Connected(member) => assert!(met.insert(member), "connected twice without a loss"),
                Event::Disconnected(member) => panic!("{index} lost {member}"),
                Event::Frame { from, bytes } => {
                    assert!(met.contains(&from), "a frame before its sender was connected");
                    assert_eq!(bytes, from.0, "a frame comes from whom the event says");
                    heard.insert(from);
                }
                _ => {}
            }
        }
    }
    for sender in senders {
        within(sender).await.unwrap();
    }
}

async fn greet_whoever_connects(network: Network) {
    let (mut connected, mut greeted) = (network.connected(), BTreeSet::new());
    while greeted.len() < 4 {
        let now = connected.borrow_and_update().clone();
        for member in now.difference(&greeted.clone()) {
            network.send(*member, network.local().0.to_vec()).await.unwrap();
            greeted.insert(*member);
        }
        if greeted.len() < 4 {
            connected.changed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_line_of_knowledge_becomes_a_full_mesh_over_tcp() {
    a_line_of_knowledge_becomes_a_full_mesh(TCP).await;
}

#[tokio::test]
async fn a_line_of_knowledge_becomes_a_full_mesh_over_quic() {
    a_line_of_knowledge_becomes_a_full_mesh(QUIC).await;
}

#[tokio::test]
async fn an_address_without_a_peer_id_is_enough() {
    let first = Node::start(0, 2, TCP, &[]);
    let mut bare = first.address().await;
    bare.pop();
    let second = Node::start(1, 2, TCP, &[bare]);
    first.connected_to(1).await;
    second.connected_to(1).await;
}

#[tokio::test]
async fn members_that_know_each_other_dial_at_once_and_stay_connected() {
    // The addresses stand in both manifests before either node runs, so both dial.
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = ports.map(|port| format!("/ip4/127.0.0.1/tcp/{}", port.local_addr().unwrap().port()));
    let members = || {
        let mut members = manifest(2);
        for (index, address) in (0..).zip(&addresses) {
            members.insert(id(index), vec![address.parse().unwrap()]);
        }
        members
    };
    let start = |index: u8| {
        let address = &addresses[usize::from(index)];
        Node::start_as(&identity(index), members(), address, &[])
    };
    let mut nodes = [start(0), start(1)];
    for node in &nodes {
        node.connected_to(1).await;
    }
    for (index, node) in (0u8..).zip(&nodes) {
        for count in 0..100u8 {
            node.network.send(id(1 - index), vec![count]).await.unwrap();
        }
    }
    for node in &mut nodes {
        for count in 0..100u8 {
            let bytes = node.next(|event| match event {
                Event::Frame { bytes, .. } => Some(bytes),
                Event::Disconnected(member) => panic!("lost {member}"),
                _ => None,
            });
            assert_eq!(bytes.await, [count]);
        }
    }
}

async fn a_killed_member_is_noticed_and_comes_back_elsewhere(listen: &str) {
    let mut nodes = line(4, listen).await;
    let victim = nodes.pop().unwrap();
    let old_address = victim.address().await;
    drop(victim);
    for node in &mut nodes {
        node.next(|event| matches!(event, Event::Disconnected(member) if member == id(3)).then_some(()))
            .await;
        assert_eq!(node.network.send(id(3), vec![1]).await, Err(SendError::NotConnected(id(3))));
        assert!(!node.network.connected().borrow().contains(&id(3)));
    }

    let back = Node::start(3, 4, listen, &[nodes[0].address().await]);
    assert_ne!(back.address().await, old_address);
    back.connected_to(3).await;
    for node in &mut nodes {
        node.next(|event| matches!(event, Event::Connected(member) if member == id(3)).then_some(())).await;
        node.network.send(id(3), b"welcome back".to_vec()).await.unwrap();
    }
    let mut back = back;
    for _ in 0..3 {
        assert_eq!(back.frame().await.1, b"welcome back");
    }
}

#[tokio::test]
async fn a_killed_member_is_noticed_and_comes_back_elsewhere_over_tcp() {
    a_killed_member_is_noticed_and_comes_back_elsewhere(TCP).await;
}

#[tokio::test]
async fn a_killed_member_is_noticed_and_comes_back_elsewhere_over_quic() {
    a_killed_member_is_noticed_and_comes_back_elsewhere(QUIC).await;
}

async fn a_member_restarted_at_once_is_told_apart_from_its_former_life(listen: &str) {
    let mut nodes = line(3, listen).await;
    drop(nodes.pop());
    let mut back = Node::start(2, 3, listen, &[nodes[0].address().await]);
    for node in &mut nodes {
        node.next(|event| matches!(event, Event::Disconnected(member) if member == id(2)).then_some(()))
            .await;
        node.next(|event| matches!(event, Event::Connected(member) if member == id(2)).then_some(())).await;
        node.network.send(id(2), vec![1]).await.unwrap();
        back.frame().await;
    }
}

#[tokio::test]
async fn a_member_restarted_at_once_is_told_apart_from_its_former_life_over_tcp() {
    a_member_restarted_at_once_is_told_apart_from_its_former_life(TCP).await;
}

#[tokio::test]
async fn a_member_restarted_at_once_is_told_apart_from_its_former_life_over_quic() {
    a_member_restarted_at_once_is_told_apart_from_its_former_life(QUIC).await;
}

#[tokio::test]
async fn shutdown_says_goodbye_and_delivers_what_was_queued() {
    let mut nodes = line(2, TCP).await;
    let leaving = nodes.remove(0);
    for count in 0..500u32 {
        leaving.network.send(id(1), count.to_le_bytes().to_vec()).await.unwrap();
    }
    within(leaving.network.clone().shutdown()).await;
    assert_eq!(leaving.network.send(id(1), vec![]).await, Err(SendError::NotConnected(id(1))));
    let staying = &mut nodes[0];
    let (mut frames, mut gone) = (0u32, false);
    while frames < 500 || !gone {
        staying
            .next(|event| match event {
                Event::Frame { bytes, .. } => {
                    assert_eq!(bytes, frames.to_le_bytes());
                    frames += 1;
                    Some(())
                }
                Event::Disconnected(_) => {
                    gone = true;
                    Some(())
                }
                _ => None,
            })
            .await;
    }
}

#[tokio::test]
async fn a_taken_port_and_a_foreign_identity_are_named() {
    for (listen, taken) in [(TCP, "tcp"), (QUIC, "udp")] {
        let holder = Node::start(0, 2, listen, &[]);
        let mut address = holder.address().await;
        assert!(matches!(address.pop(), Some(Protocol::P2p(_))));
        let config = |index| NetworkConfig {
            listen: vec![address.clone()],
            ..config(&identity(index), manifest(2), &[])
        };
        let refused = network::start(config(1)).err().unwrap();
        assert!(
            matches!(&refused, NetworkError::Listen { address: named, .. } if *named == address),
            "{refused}"
        );
        assert!(refused.to_string().contains(taken), "{refused}");
        let foreign = network::start(config(7)).err().unwrap();
        assert!(matches!(foreign, NetworkError::NotAMember(_)), "{foreign}");
    }
}

/// Both ends of a cable know that it is cut; once it is whole again nobody has to be told.
#[tokio::test]
async fn whoever_is_cut_off_is_unreachable_until_told_otherwise() {
    for listen in [TCP, QUIC] {
        let nodes = line(4, listen).await;
        for (index, node) in nodes.iter().enumerate() {
            let others = (0..4).filter(|other| other / 2 != index as u8 / 2);
            node.network.cut_off(others.map(id).collect());
        }
        for (index, node) in nodes.iter().enumerate() {
            node.connected_to(1).await;
            let far = id(3 - index as u8);
            let refused = node.network.send(far, vec![1]).await;
            assert_eq!(refused, Err(SendError::NotConnected(far)));
        }
        // one end is enough to keep the other out
        nodes[0].network.cut_off(BTreeSet::new());
        nodes[2].network.cut_off(BTreeSet::from([id(0)]));
        nodes[3].network.cut_off(BTreeSet::from([id(1)]));
        nodes[1].network.cut_off(BTreeSet::from([id(2)]));
        nodes[0].connected_to(2).await;
        for node in &nodes {
            node.network.cut_off(BTreeSet::new());
        }
        for node in &nodes {
            node.connected_to(3).await;
        }
    }
}
