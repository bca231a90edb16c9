//! Next epochs while the node runs: heard, passed on, and in force once no round is running.

use super::*;
use crate::{
    checked::check,
    membership::{News, Source},
    node::{Reduce, Submission, manifest_addresses},
};
use consort_protocol::encoding::{Input as Arrays, Reduction};

impl Driver {
    /// Another member shows a manifest.
    pub(super) async fn heard(&mut self, from: MemberId, signed: SignedManifest) {
        if let Err(error) = self.learn(signed, Source::Member).await
            && !matches!(error, ManifestError::Expired { .. })
            && self.worth_a_warning()
        {
            tracing::warn!(%from, %error, "manifest refused");
        }
    }

    /// The owner hands in epochs, in ascending order. Gives how far the signatures on the last one have come, if
    /// anything was new.
    pub(super) async fn adopt(
        &mut self,
        epochs: Vec<SignedManifest>,
    ) -> Result<Option<Tally>, ManifestError> {
        if let Some(first) = epochs.first().filter(|first| first.body.epoch == 0) {
            self.membership.chain().same_founding(&first.digest()?)?;
        }
        let mut news = None;
        for signed in epochs {
            match self.learn(signed.clone(), Source::Owner).await? {
                News::Nothing => {}
                News::Signatures(tally) | News::Complete(tally) => {
                    self.show(&signed);
                    news = Some(tally);
                }
            }
        }
        Ok(news)
    }

    /// Looks at the files of next epochs, and brings up to date whoever has come since.
    pub(super) async fn visit(&mut self) {
        self.mind_solitude();
        for (file, epochs) in self.membership.read_files() {
            if let Err(error) = self.adopt(epochs).await {
                tracing::warn!(file = %file.display(), %error, "proposal refused");
            }
        }
        if self.state.gate_due.take_if(|due| *due <= self.state.started.elapsed()).is_some() {
            match manifest_addresses(&self.manifest) {
                Ok(members) => self.network.set_members(members),
                Err(error) => tracing::error!(%error, "members stay as they are"),
            }
        }
        let current = self.membership.chain().manifest().epoch();
        let told =
            |(peer, epoch): &(MemberId, u64)| *epoch > current || self.state.told.get(peer) == Some(&current);
        let untold: Vec<_> = self.state.peers.epochs().filter(|peer| !told(peer)).collect();
        for (peer, epoch) in untold {
            for signed in self.membership.after(epoch) {
                self.send(peer, &Message::Manifest(Box::new(signed)));
            }
            let mut open: Vec<SignedManifest> = self.membership.open().cloned().collect();
            // whatever does not fit into the peer's queue is what the fewest stand for
            open.sort_by_key(|signed| std::cmp::Reverse(signed.signatures.len()));
            for signed in open {
                self.send(peer, &Message::Manifest(Box::new(signed)));
            }
            self.state.told.insert(peer, current);
        }
    }

    /// Says something new to everybody.
    fn show(&mut self, signed: &SignedManifest) {
        let message = Message::Manifest(Box::new(signed.clone()));
        for peer in self.state.peers.all_connected() {
            self.send(peer, &message);
        }
        // whoever is not connected to this node hears of it by gossip, where it fits
        if let Ok(bytes) = codec::encode(&message)
            && bytes.len() <= limits::MAX_GOSSIP_BYTES
        {
            self.network.publish(bytes);
        }
    }

    async fn learn(&mut self, signed: SignedManifest, source: Source) -> Result<News, ManifestError> {
        let epoch = signed.body.epoch;
        let learned = self.membership.hear(signed.clone(), source);
        match &learned {
            Ok(News::Signatures(tally)) => {
                tracing::info!(
                    epoch,
                    signatures = tally.found,
                    needed = tally.needed,
                    "a next epoch waits for signatures: see the folder `proposals` of this node's home"
                );
                self.observer.notify(NodeEvent::Proposed { epoch, tally: tally.clone() }).await;
            }
            Err(error @ ManifestError::Fork { .. }) if self.membership.keep_fork(&signed) => {
                tracing::error!(epoch, %error, "two manifests of one epoch: this node stays with the one it has; the other is in the folder `forks` of its home");
                self.observer.notify(NodeEvent::Forked(error.clone())).await;
            }
            _ => {}
        }
        learned
    }

    /// A node that nobody answers says so in its log, now and then.
    fn mind_solitude(&mut self) {
        let others = self.manifest.members().len() - 1;
        if !self.state.peers.all_connected().is_empty() {
            self.state.solitude = None;
            return;
        }
        let now = self.now();
        let due = self.state.solitude.get_or_insert(now + limits::SOLITUDE);
        if now >= *due {
            *due = now + limits::SOLITUDE_REPEATED;
            tracing::warn!("connected to none of the {others} others; `consort doctor` says more");
        }
    }

    /// Who is who in the log: its other lines have ids only.
    pub(super) fn name_members(&self) {
        for member in self.manifest.members() {
            let id = crate::identity::peer_id(&member.id).map(|id| id.to_string()).unwrap_or_default();
            tracing::info!(peer = %member.id, name = member.name, id, "member");
        }
    }

    /// Goes on under the newest manifest, unless a round is running: a round ends under the manifest under which
    /// it began.
    pub(super) async fn change_epoch(&mut self) {
        let manifest = self.membership.chain().manifest().clone();
        if self.state.running.is_some() || manifest.digest() == self.manifest.digest() {
            return;
        }
        let (epoch, now) = (manifest.epoch(), self.now());
        let news = self.membership.after(self.manifest.epoch());
        tracing::info!(epoch, members = manifest.members().len(), "a new epoch is in force");
        self.manifest = manifest.clone();
        self.name_members();
        self.in_force.send_replace(Arc::new(self.membership.chain().clone()));
        if !manifest.contains(&self.state.me) {
            tracing::error!(epoch, "this node was removed from the consortium; it stops");
            if let Some(pending) = self.state.pending.take() {
                let reason = format!("this node was removed from the consortium in epoch {epoch}");
                let _ = pending.reply.send(Err(SubmitError::Failed(reason)));
            }
            self.observer.notify(NodeEvent::Removed { epoch }).await;
            self.stop.cancel();
            return;
        }
        // who is removed hears of it before the gate closes
        let gone: Vec<_> =
            self.state.peers.all_connected().into_iter().filter(|id| !manifest.contains(id)).collect();
        for (peer, signed) in gone.iter().flat_map(|peer| news.iter().map(move |signed| (*peer, signed))) {
            self.send(peer, &Message::Manifest(Box::new(signed.clone())));
        }
        self.state.gate_due = Some(now + limits::MEMBERSHIP_INTERVAL);
        self.state.peers.renew(manifest, now);
        self.state.told.retain(|id, _| self.manifest.contains(id));
        self.state.reminders.retain(|id| self.manifest.contains(id));
        self.state.offers = Offers::default();
        self.check_pending();
        let round = self.state.gathering.round;
        self.begin_round(round);
        self.observer.notify(NodeEvent::Epoch(epoch)).await;
        self.report_peers().await;
    }

    /// What waits under other rules is checked again: its task may be another one under these.
    pub(super) fn check_pending(&mut self) {
        let stale = |pending: &mut Pending| pending.manifest != *self.manifest.digest();
        let Some(pending) = self.state.pending.take_if(stale) else { return };
        let Arrays { leaves, weight } = pending.input.to_input();
        let reduce = match pending.task.spec.reduction {
            Reduction::Sum => Reduce::Sum,
            Reduction::Mean => Reduce::Mean,
            Reduction::WeightedMean { .. } => Reduce::WeightedMean(weight),
        };
        let Task { label, query, .. } = pending.task;
        let submission = Submission { leaves, reduce, label, query, clip: pending.clip };
        match check(&self.manifest, &self.consent, submission) {
            Ok(checked) => {
                self.state.pending = Some(Pending::new(checked, pending.kept, pending.reply));
            }
            Err(error) => {
                let epoch = self.manifest.epoch();
                let reason =
                    format!("the rules have changed while this input waited (epoch {epoch}): {error}");
                let _ = pending.reply.send(Err(SubmitError::Failed(reason)));
            }
        }
    }
}
