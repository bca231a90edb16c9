//! Evidence: what proves that a member broke the protocol is kept, passed on, and believed only when it holds.
//!
//! One record of each culprit is enough, so what is kept and sent is bounded by the number of members. Whoever
//! is convicted aggregates no more, and is left out from the next round on, until the members decide otherwise.

use consort_protocol::evidence::Evidence;

use super::*;

impl Driver {
    /// Checks what is said to be evidence; `from` is who showed it, if it is not this node's own.
    pub(super) async fn evidence(&mut self, evidence: Evidence, from: Option<MemberId>) {
        if self.state.peers.is_excluded(&evidence.accused()) {
            return;
        }
        // what was done under an earlier manifest stands
        let manifest = self.membership.chain().by_digest(evidence.manifest()).unwrap_or(&self.manifest);
        let proven = match evidence.verify(manifest) {
            Ok(proven) => proven,
            Err(error) => {
                if self.worth_a_warning() {
                    tracing::warn!(?from, %error, "no evidence: dropped");
                }
                return;
            }
        };
        if let Err(error) = self.ledger.convict(&proven.culprit, &evidence) {
            tracing::error!(%error, "evidence is not on disk");
        }
        match self.exhibits.keep(&proven, &evidence) {
            Ok(file) => tracing::error!(
                culprit = %proven.culprit, crime = %proven.crime, round = proven.round, file = %file.display(),
                "a member broke the protocol; it is left out from now on"
            ),
            Err(error) => tracing::error!(%error, "evidence file not written"),
        }
        let now = self.now();
        self.state.peers.exclude(proven.culprit, now);
        let message = Message::Evidence(Box::new(evidence.clone()));
        for peer in self.state.peers.all_connected() {
            self.send(peer, &message);
        }
        // whoever is not connected to this node hears of it by gossip, where it fits
        if let Ok(bytes) = codec::encode(&message)
            && bytes.len() <= limits::MAX_GOSSIP_BYTES
        {
            self.network.publish(bytes);
        }
        self.state.evidence.push(evidence);
        self.observer.notify(NodeEvent::Convicted(proven.clone())).await;
        self.report_peers().await;
        Box::pin(self.feed(Input::Lost(proven.culprit))).await;
    }

    /// Whoever comes back may not have heard of it.
    pub(super) fn show_evidence(&mut self, peer: MemberId) {
        for evidence in self.state.evidence.clone() {
            self.send(peer, &Message::Evidence(Box::new(evidence)));
        }
    }
}
