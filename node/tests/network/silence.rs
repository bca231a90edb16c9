//! A line that goes dead without a word, as when a cable is pulled.

use consort_node::network::Event;
use libp2p::Multiaddr;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::consortium::{Node, TCP, config, id, identity, manifest, within};

/// A line to this address that passes everything on until it is cut: then it neither passes on nor closes.
async fn line_to(address: Multiaddr, cut: watch::Receiver<bool>) -> Multiaddr {
    let port = address.to_string().split('/').nth(4).unwrap().parse::<u16>().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entry = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut cut = cut.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    () = until(&mut cut) => std::future::pending::<()>().await,
                }
            });
        }
    });
    entry.parse().unwrap()
}

async fn until(cut: &mut watch::Receiver<bool>) {
    cut.wait_for(|cut| *cut).await.unwrap();
}

#[tokio::test]
async fn a_line_that_goes_dead_without_a_word_is_noticed_at_both_ends() {
    let (cut, is_cut) = watch::channel(false);
    let near = Node::start(0, 2, TCP, &[]);
    let line = line_to(near.address().await, is_cut).await;
    // node 0 is told of no address that it could dial
    let far = Node::start_with(config(&identity(1), manifest(2), &[line]));
    let mut nodes = [near, far];
    for node in &nodes {
        node.connected_to(1).await;
    }
    cut.send_replace(true);
    for (node, other) in nodes.iter_mut().zip([1, 0]) {
        let lost = node.next(|event| match event {
            Event::Disconnected(member) => Some(member),
            _ => None,
        });
        assert_eq!(within(lost).await, id(other));
    }
}
