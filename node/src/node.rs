//! A running node: what `consort run`, the testnet and tests start, submit to and stop.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, thread};

use consort_protocol::{
    array::Array,
    contract::ContractError,
    encoding::InputError,
    hash::Digest,
    manifest::{Chain, Manifest, ManifestError, SignedManifest, Tally},
};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    addresses,
    checked::check,
    config::{Limits, OverLimit, Reach},
    consent::{Consent, NoConsent},
    events::{NodeEvent, Observer},
    exhibits::Exhibits,
    handle::Handle,
    home::Home,
    identity::NodeIdentity,
    ledger::{Ledger, LedgerError, Records},
    limits,
    membership::{Membership, Proposal},
    network::{self, Network, NetworkConfig, NetworkError},
    round::{
        RoundResult,
        driver::{Command, Driver, DriverState, Past, Pending, RECENT},
        results::Results,
    },
    unmet::{self, Unmet},
};

/// What a node runs with.
pub struct NodeOptions {
    /// Where it keeps what must outlive the process.
    pub home: Home,
    /// Who it is.
    pub identity: NodeIdentity,
    /// The consortium that it is a member of, with all epochs.
    pub consortium: Chain,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// How others reach it beside these.
    pub reach: Reach,
    /// What it spends on rounds.
    pub limits: Limits,
    /// What it consents to.
    pub consent: Consent,
    /// Addresses to begin with, beside the manifest's.
    pub peers: Vec<Multiaddr>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The network cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The home cannot be used.
    #[error("{}: {source}", path.display())]
    Home {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An address in the manifest is none.
    #[error("member {member} of the manifest has the address {address}, which is not a multiaddress")]
    Address {
        /// Whose.
        member: String,
        /// The text.
        address: String,
    },
}

/// What is to become of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reduce {
    /// The sum.
    Sum,
    /// The mean of the survivors.
    Mean,
    /// The mean weighted by each member's weight; this is mine.
    WeightedMean(u64),
}

/// An input for the next round.
pub struct Submission {
    /// The arrays.
    pub leaves: Vec<Array>,
    /// What is to become of them.
    pub reduce: Reduce,
    /// Says that this is the same data again.
    pub label: Option<String>,
    /// Hash of the model or question that the input answers; zero where there is none.
    pub query: Digest,
    /// Clip of floats in place of the policy's.
    pub clip: Option<f64>,
}

/// Why an input did not come to an aggregate.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// No round can be for it: the vector or the label does not fit the policy.
    #[error(transparent)]
    Task(#[from] ContractError),
    /// It is more than this node spends.
    #[error(transparent)]
    Limit(#[from] OverLimit),
    /// This node's own settings allow no round for it.
    #[error(transparent)]
    Consent(#[from] NoConsent),
    /// A value does not fit the vector.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The round ended without an aggregate.
    #[error("{0}")]
    Failed(String),
    /// Its owner took it back.
    #[error("withdrawn by its owner; it is in no sum")]
    Withdrawn,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Why a next epoch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It is none to run with.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// A handle to a running node. The node runs until [`Node::shutdown`].
pub struct Node {
    consortium: watch::Receiver<Arc<Chain>>,
    consent: Arc<Consent>,
    network: Network,
    commands: mpsc::Sender<Command>,
    records: Records,
    results: Arc<Results>,
    limits: watch::Sender<Limits>,
    proposals: watch::Receiver<Arc<Vec<Proposal>>>,
    failed: watch::Receiver<Option<String>>,
    stop: CancellationToken,
    driver: thread::JoinHandle<()>,
}

impl Node {
    /// Starts a node on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: the home is in use or damaged, an address cannot be listened on, or the identity is
    /// not a member's.
    pub fn start(options: NodeOptions, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        Self::launch(options, observer, |_| {})
    }

    /// Starts a node that follows the protocol but for one lie.
    ///
    /// # Errors
    /// [`StartError`], as [`Self::start`].
    #[cfg(feature = "lies")]
    pub fn start_lying(
        options: NodeOptions,
        observer: Arc<dyn Observer>,
        lie: consort_protocol::sim::Lie,
        seed: u64,
    ) -> Result<Self, StartError> {
        Self::launch(options, observer, |driver| {
            let (identity, manifest) = (driver.identity.clone(), driver.manifest.clone());
            driver.lying = Some(crate::round::driver::Lying::new(lie, identity, manifest, seed));
        })
    }

    fn launch(
        options: NodeOptions,
        observer: Arc<dyn Observer>,
        with: impl FnOnce(&mut Driver),
    ) -> Result<Self, StartError> {
        let NodeOptions { home, identity, consortium, listen, reach, limits, consent, peers } = options;
        let consent = Arc::new(consent);
        let manifest = consortium.manifest().clone();
        let home_error = |source| StartError::Home { path: home.path().to_path_buf(), source };
        let ledger = Ledger::open(&home.ledger())?;
        let results = Arc::new(Results::open(&home.results()).map_err(home_error)?);
        let config = NetworkConfig {
            identity: identity.keypair(),
            listen,
            reach,
            peers,
            members: manifest_addresses(&manifest)?,
            remembered: addresses::load(&home.addresses(), &manifest),
            consortium: *consortium.founding(),
        };
        let (remembered, dials_only) = (config.remembered.clone(), config.listen.is_empty());
        let recent = ledger.recent(RECENT)?;
        let mut state = DriverState::new(
            &consortium,
            identity.id(),
            ledger.next_round()?,
            ledger.seen_keys()?,
            recent,
            ledger.evidence()?,
            Past { cohorts: ledger.cohorts()?, spent: ledger.spent()? },
        );
        let records = ledger.records();
        state.recall(&records)?;
        let (network, events) = network::start(config)?;
        let (commands, receiver) = mpsc::channel(limits::MAX_COMMANDS);
        let stop = CancellationToken::new();
        let limits = watch::Sender::new(limits);
        let (in_force, consortium_in_force) = watch::channel(Arc::new(consortium.clone()));
        let (failed_sender, failed) = watch::channel(None);
        let membership = Membership::new(consortium, &home);
        let proposals = membership.proposals();
        let mut driver = Driver {
            manifest,
            in_force,
            consent: consent.clone(),
            membership,
            identity: Arc::new(identity.signing()),
            network: network.clone(),
            events,
            commands: receiver,
            ledger,
            failed: failed_sender,
            results: results.clone(),
            limits: limits.subscribe(),
            exhibits: Exhibits::new(home.evidence()),
            observer: observer.clone(),
            stop: stop.clone(),
            #[cfg(feature = "lies")]
            lying: None,
            state,
        };
        with(&mut driver);
        let runtime = tokio::runtime::Handle::current();
        runtime.spawn(report_addresses(network.clone(), observer));
        if dials_only {
            runtime.spawn(Unmet::new(&network, consortium_in_force.clone()).mind(unmet::warn));
        }
        runtime.spawn(addresses::keep(home.addresses(), remembered, network.known_addresses()));
        let driver = thread::Builder::new()
            .name("rounds".into())
            .spawn(move || runtime.block_on(driver.run()))
            .map_err(home_error)?;
        let consortium = consortium_in_force;
        Ok(Self {
            consortium,
            consent,
            network,
            commands,
            records,
            results,
            limits,
            proposals,
            failed,
            stop,
            driver,
        })
    }

    /// The network below.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The epochs up to the one that rounds run under; there is a new one between rounds. Without this node in it,
    /// the node has ended.
    #[must_use]
    pub fn consortium(&self) -> watch::Receiver<Arc<Chain>> {
        self.consortium.clone()
    }

    /// Why this node takes part in nothing any more: its ledger takes no more. Nothing while it does.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Hands in the next epoch of this node's consortium, or further signatures of it, and passes it on to the
    /// other members. It comes into force once it has enough signatures and no round is running. `epochs` are in
    /// ascending order; those that are known already may be among them. Gives how far the signatures on the last
    /// one have come; nothing where nothing was new.
    ///
    /// # Errors
    /// [`AdoptError`]: it is expired, foreign, a fork, or at fault.
    pub async fn adopt(&self, epochs: Vec<SignedManifest>) -> Result<Option<Tally>, AdoptError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Adopt(epochs, reply)).await.map_err(|_| AdoptError::Stopped)?;
        Ok(answer.await.map_err(|_| AdoptError::Stopped)??)
    }

    /// What the local API needs of this node. The home stays in use while one of these lives.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            consortium: self.consortium.clone(),
            consent: self.consent.clone(),
            network: self.network.clone(),
            commands: self.commands.clone(),
            records: self.records.clone(),
            results: self.results.clone(),
            limits: self.limits.subscribe(),
            proposals: self.proposals.clone(),
        }
    }

    /// Hands in an input and waits for the aggregate of the round that takes it.
    ///
    /// # Errors
    /// [`SubmitError`]: the input is refused at once, or its round fails.
    pub async fn submit(&self, submission: Submission) -> Result<RoundResult, SubmitError> {
        let (manifest, consent) = (self.consortium.borrow().manifest().clone(), self.consent.clone());
        let checked = tokio::task::spawn_blocking(move || check(&manifest, &consent, submission)).await;
        let checked = checked.map_err(|_| SubmitError::Stopped)??;
        self.limits.borrow().check_input(checked.elements)?;
        let (reply, result) = oneshot::channel();
        let pending = Pending::new(checked, None, reply);
        self.commands.send(Command::Submit(pending)).await.map_err(|_| SubmitError::Stopped)?;
        result.await.map_err(|_| SubmitError::Stopped)?
    }

    /// Takes back an input that waits. Gives whether there is none any more: one whose masked vector has begun
    /// to leave stays in its round.
    pub async fn withdraw(&self) -> bool {
        self.handle().withdraw().await
    }

    /// What this node spends from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.send_replace(limits);
    }

    /// Begins no further round, and returns once no running one needs this node: at once, or when it has ended. Gives
    /// whether one has. [`Self::shutdown`] has to follow.
    pub async fn finish(&self) -> bool {
        let (reply, finished) = oneshot::channel();
        self.commands.send(Command::Finish(reply)).await.is_ok() && finished.await.unwrap_or(false)
    }

    /// Leaves the running round and stops.
    pub async fn shutdown(self) {
        drop(self.records);
        self.stop.cancel();
        self.network.shutdown().await;
        let _ = tokio::task::spawn_blocking(move || self.driver.join()).await;
    }
}

pub(crate) fn manifest_addresses(
    manifest: &Manifest,
) -> Result<BTreeMap<consort_protocol::ids::MemberId, Vec<Multiaddr>>, StartError> {
    let parse = |member: &str, text: &String| {
        text.parse().map_err(|_| StartError::Address { member: member.to_string(), address: text.clone() })
    };
    manifest
        .members()
        .iter()
        .map(|member| {
            let addresses = member.addresses.iter().map(|text| parse(&member.name, text));
            Ok((member.id, addresses.collect::<Result<_, _>>()?))
        })
        .collect()
}

async fn report_addresses(network: Network, observer: Arc<dyn Observer>) {
    let mut addresses = network.listen_addresses();
    loop {
        let listening: Vec<String> = addresses.borrow_and_update().iter().map(ToString::to_string).collect();
        if !listening.is_empty() {
            observer.notify(NodeEvent::Listening(listening)).await;
        }
        if addresses.changed().await.is_err() {
            return;
        }
    }
}
