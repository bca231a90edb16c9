//! Faults: done to the nodes when their time has come, and undone again.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::{
    cli::{Deed, in_seconds, list},
    control::Assignment,
    report::{Parted, Paused, Struck},
};

/// How long a node is away that is killed and started again.
const AWAY: Duration = Duration::from_secs(2);

/// What is to be done later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Later {
    Start(usize),
    Resume(usize),
    /// Only the partition with this number, if no other has taken its place.
    Heal(u64),
}

impl Rounds<'_> {
    /// A phase begins on a node, which waits for what is to happen to it.
    pub(super) async fn strike(
        &mut self,
        node: usize,
        (aggregator, phase, round): (bool, Phase, u32),
    ) -> anyhow::Result<()> {
        while let Some(at) =
            self.faults.iter().position(|fault| fault.strikes(node, aggregator, phase, round))
        {
            let deed = self.faults.remove(at).deed;
            self.current.stir();
            let peer = self.founded.peer(node);
            let struck = Struck { node, peer, phase, round };
            let whom =
                if aggregator { format!("node {node}, the aggregator,") } else { format!("node {node}") };
            match deed {
                Deed::Partition(groups, time) => self.part(groups, time, &struck).await?,
                Deed::Pause(time) => {
                    self.fleet.pause(node, true)?;
                    self.disturbed.insert(node);
                    self.later(time, Later::Resume(node));
                    let seconds = in_seconds(time);
                    self.say(&format!("{whom} stands still for {seconds} s as {phase} begins"));
                    self.current.pauses.push(Paused { struck, seconds });
                    break;
                }
                Deed::Kill | Deed::Restart => {
                    self.fleet.kill(node).await?;
                    self.outstanding.remove(&node);
                    if deed == Deed::Restart {
                        self.later(AWAY, Later::Start(node));
                        self.say(&format!("{whom} killed as {phase} began, to be started again"));
                        self.current.restarts.push(struck);
                    } else {
                        self.say(&format!("{whom} killed as {phase} began"));
                        self.current.kills.push(struck);
                    }
                    return Ok(());
                }
            }
        }
        // one that stands still reads this when it goes on
        self.fleet.order(node, &Order::GoOn).await
    }

    async fn part(
        &mut self,
        groups: [BTreeSet<usize>; 2],
        time: Duration,
        struck: &Struck,
    ) -> anyhow::Result<()> {
        let seconds = in_seconds(time);
        let [one, other] = &groups;
        self.say(&format!(
            "nodes {} and {} are cut off from each other for {seconds} s as {} begins",
            list(one),
            list(other),
            struck.phase
        ));
        self.partitions += 1;
        self.later(time, Later::Heal(self.partitions));
        self.disturbed.extend(one.iter().chain(other));
        let Struck { phase, round, .. } = *struck;
        self.current.partitions.push(Parted { groups: groups.clone(), phase, round, seconds });
        self.partition = Some(groups);
        for node in self.fleet.alive() {
            self.cut_off(node).await?;
        }
        Ok(())
    }

    /// Tells a node whom it cannot reach now.
    async fn cut_off(&mut self, node: usize) -> anyhow::Result<()> {
        let far = |index: &usize| !self.reaches(node, *index);
        let members = self.founded.identities.iter().enumerate();
        let keys = members.filter(|(index, _)| far(index)).map(|(_, identity)| hex::encode(identity.id().0));
        let order = Order::CutOff(keys.collect());
        self.fleet.order(node, &order).await
    }

    /// Whether no partition is between two nodes.
    pub(super) fn reaches(&self, node: usize, other: usize) -> bool {
        let between = |[one, two]: &[BTreeSet<usize>; 2]| {
            (one.contains(&node) && two.contains(&other)) || (two.contains(&node) && one.contains(&other))
        };
        !self.partition.as_ref().is_some_and(between)
    }

    fn later(&mut self, time: Duration, what: Later) {
        self.agenda.push((Instant::now() + time, what));
    }

    /// When something is to be done next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.agenda.iter().map(|(at, _)| *at).min()
    }

    /// Does what is due.
    pub(super) async fn do_what_is_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let due: Vec<Later> =
            self.agenda.extract_if(.., |(at, _)| *at <= now).map(|(_, what)| what).collect();
        for what in due {
            match what {
                Later::Start(node) => self.start_again(node).await?,
                Later::Resume(node) => {
                    if self.fleet.is_paused(node) {
                        self.fleet.pause(node, false)?;
                        self.returning.insert(node);
                        self.say(&format!("node {node} goes on"));
                    }
                }
                Later::Heal(number) if number == self.partitions => {
                    let healed = self.partition.take();
                    self.returning.extend(healed.into_iter().flatten().flatten());
                    for node in self.fleet.alive() {
                        self.cut_off(node).await?;
                    }
                    self.say("all nodes can reach each other again");
                }
                Later::Heal(_) => {}
            }
        }
        Ok(())
    }

    /// With the same home at the same address, and with the addresses that its operator would have noted.
    async fn start_again(&mut self, node: usize) -> anyhow::Result<()> {
        let home = self.homes.get(node).context("a node without a home")?.clone();
        let mut assignment = Assignment::read(&home)?;
        if let Some(address) = self.addresses.get(&node) {
            let listen = address.split("/p2p/").next().unwrap_or(address);
            std::fs::write(home.join("config.toml"), format!("listen = [\"{listen}\"]\n"))?;
        }
        let alive = self.fleet.alive();
        assignment.peers = alive.iter().filter_map(|other| self.addresses.get(other)).cloned().collect();
        assignment.write(&home)?;
        self.fleet.start(node, &home)?;
        self.used.remove(&node);
        self.peers.insert(node, 0);
        self.stale.insert(node);
        self.returning.insert(node);
        if self.partition.is_some() {
            self.cut_off(node).await?;
        }
        self.say(&format!("node {node} started again"));
        Ok(())
    }

    /// Waits until those who were away and are to come back are up and connected.
    pub(super) async fn bring_back(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + CONNECT;
        loop {
            let starting = self.agenda.iter().any(|(_, what)| matches!(what, Later::Start(_)));
            if !starting && self.returning.iter().all(|node| self.is_back(*node)) {
                self.returning.clear();
                return Ok(());
            }
            if self.next(deadline).await? == Next::Deadline {
                let (returning, seconds) = (&self.returning, CONNECT.as_secs());
                bail!("nodes {returning:?} are back, but not connected after {seconds} s");
            }
        }
    }

    /// Whether everybody who can is connected with a node. Whoever was convicted counts for nobody.
    fn is_back(&self, node: usize) -> bool {
        let convicted = |index: &usize| self.convicted.iter().any(|convict| convict.node == *index);
        let mut awake = self.fleet.alive();
        awake.retain(|index| !self.fleet.is_paused(*index) && !convicted(index));
        let complete = |index: &usize| {
            let others = awake.iter().filter(|other| *other != index && self.reaches(*index, **other));
            self.peers.get(index).is_some_and(|count| *count >= others.count())
        };
        let near = awake.iter().filter(|other| self.reaches(node, **other));
        self.fleet.is_paused(node) || convicted(&node) || near.into_iter().all(complete)
    }
}
