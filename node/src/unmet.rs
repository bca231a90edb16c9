//! A node that listens nowhere says in its log when no relay leads to it: it and others that only dial out cannot meet,
//! and neither of them notices anything.

use std::{collections::BTreeSet, sync::Arc};

use consort_protocol::{ids::MemberId, manifest::Chain};
use libp2p::Multiaddr;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{limits, network::Network};

/// What it looks at, all of it as it changes.
pub(crate) struct Unmet {
    consortium: watch::Receiver<Arc<Chain>>,
    connected: watch::Receiver<Arc<BTreeSet<MemberId>>>,
    /// Of a node that listens nowhere, these are the ways through relays.
    addresses: watch::Receiver<Vec<Multiaddr>>,
}

impl Unmet {
    pub(crate) fn new(network: &Network, consortium: watch::Receiver<Arc<Chain>>) -> Self {
        Self { consortium, connected: network.connected(), addresses: network.listen_addresses() }
    }

    /// Says so each time that somebody is connected, but not everybody, and no relay has led here for a while. Ends
    /// with the network.
    pub(crate) async fn mind(mut self, say: impl Fn(usize, usize)) {
        let mut due = None;
        loop {
            let others = self.consortium.borrow_and_update().manifest().members().len().saturating_sub(1);
            let connected = self.connected.borrow_and_update().len();
            let led_to = !self.addresses.borrow_and_update().is_empty();
            due = match led_to || connected == 0 || connected >= others {
                true => None,
                false => due.or(Some(Instant::now() + limits::SOLITUDE)),
            };
            let wait = async move {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let changed = tokio::select! {
                changed = self.consortium.changed() => changed,
                changed = self.connected.changed() => changed,
                changed = self.addresses.changed() => changed,
                () = wait => {
                    say(connected, others);
                    due = Some(Instant::now() + limits::SOLITUDE_REPEATED);
                    Ok(())
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// What the log says of it.
pub(crate) fn warn(connected: usize, others: usize) {
    tracing::warn!(
        connected,
        others,
        "no member relays to this node, which listens nowhere: two members that only dial out cannot meet; one that all \
         reach sets `relay = true` under [reach] in its config.toml"
    );
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use consort_protocol::{manifest::Policy, sim::consortium};

    use super::*;

    /// It says nothing for just under so long, and has said it after.
    async fn says_after(wait: Duration, said: &Cell<usize>) {
        let (before, moment) = (said.get(), Duration::from_millis(10));
        tokio::time::sleep(wait - 3 * moment).await;
        assert_eq!(said.get(), before, "too early");
        tokio::time::sleep(4 * moment).await;
        assert_eq!(said.get(), before + 1, "too late");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_connected_to_some_and_reached_by_nobody_says_so() {
        let members = consortium(4, Policy::default(), 1).unwrap();
        let chain = Chain::verify([members.signed.clone()]).unwrap();
        let others: Vec<MemberId> =
            chain.manifest().members().iter().skip(1).map(|member| member.id).collect();
        let set = |count: usize| Arc::new(others.iter().take(count).copied().collect::<BTreeSet<_>>());
        let (_in_force, consortium) = watch::channel(Arc::new(chain.clone()));
        let (links, connected) = watch::channel(set(0));
        let (ways, addresses) = watch::channel(Vec::new());
        let said = Cell::new(0);
        let mind = Unmet { consortium, connected, addresses }.mind(|found, of| {
            assert_eq!((found, of), (2, 3));
            said.set(said.get() + 1);
        });
        let play = async {
            let long = 2 * limits::SOLITUDE_REPEATED;
            tokio::time::sleep(long).await;
            assert_eq!(said.get(), 0, "alone: another warning");
            links.send_replace(set(2));
            says_after(limits::SOLITUDE, &said).await;
            says_after(limits::SOLITUDE_REPEATED, &said).await;
            ways.send_replace(vec!["/ip4/192.0.2.7/tcp/1".parse().unwrap()]);
            tokio::time::sleep(long).await;
            assert_eq!(said.get(), 2, "a relay leads here");
            ways.send_replace(Vec::new());
            says_after(limits::SOLITUDE, &said).await;
            links.send_replace(set(3));
            tokio::time::sleep(long).await;
            assert_eq!(said.get(), 3, "it meets everybody");
            drop(links);
        };
        tokio::join!(mind, play);
    }
}
