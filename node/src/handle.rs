//! What the local API needs of a running node.

use std::sync::Arc;

use consort_protocol::manifest::Chain;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    checked::Checked,
    config::Limits,
    consent::Consent,
    inputs::Kept,
    ledger::Records,
    membership::Proposal,
    network::Network,
    node::SubmitError,
    round::{
        RoundResult,
        driver::{Command, Pending, View},
        results::Results,
    },
};

/// Asks and tells a running node. Cheap to clone; the node's home stays in use while one of these lives.
#[derive(Clone)]
pub struct Handle {
    pub(crate) consortium: watch::Receiver<Arc<Chain>>,
    pub(crate) consent: Arc<Consent>,
    pub(crate) network: Network,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) records: Records,
    pub(crate) results: Arc<Results>,
    pub(crate) limits: watch::Receiver<Limits>,
    pub(crate) proposals: watch::Receiver<Arc<Vec<Proposal>>>,
}

/// What becomes of an input; nothing comes where the node stops before.
pub(crate) type Outcome = oneshot::Receiver<Result<RoundResult, SubmitError>>;

impl Handle {
    /// The epochs up to the one that rounds run under.
    pub(crate) fn consortium(&self) -> Arc<Chain> {
        self.consortium.borrow().clone()
    }

    /// Hands in an input that was checked and is on disk.
    pub(crate) async fn hand_in(&self, checked: Checked, kept: Kept) -> Result<Outcome, SubmitError> {
        let (reply, outcome) = oneshot::channel();
        let pending = Pending::new(checked, Some(kept), reply);
        self.commands.send(Command::Submit(pending)).await.map_err(|_| SubmitError::Stopped)?;
        Ok(outcome)
    }

    /// Takes back the input that waits. Gives whether there is none any more.
    pub(crate) async fn withdraw(&self) -> bool {
        let (reply, withdrawn) = oneshot::channel();
        if self.commands.send(Command::Withdraw(reply)).await.is_err() {
            return true;
        }
        withdrawn.await.unwrap_or(true)
    }

    /// How things are; `None` where the node has stopped.
    pub(crate) async fn look(&self) -> Option<View> {
        let (reply, view) = oneshot::channel();
        self.commands.send(Command::Look(reply)).await.ok()?;
        view.await.ok()
    }
}
