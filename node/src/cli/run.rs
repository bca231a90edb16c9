//! `consort run`: the daemon.

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use consort_node::{
    Node, NodeOptions, StartError,
    api::{Api, Feed},
    config::Config,
    consortium,
    events::{NodeEvent, Observer},
    home::Home,
    identity::NodeIdentity,
    ledger::LedgerError,
};
use libp2p::Multiaddr;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::Failure;

/// Stopping takes no longer than this.
const SHUTDOWN: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The node's home, with its identity.key
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The signed manifest of the consortium
    #[arg(long, value_name = "FILE")]
    consortium: PathBuf,
    /// Address of a member to begin with; one is enough, the others are found
    #[arg(long, value_name = "MULTIADDR")]
    peer: Vec<Multiaddr>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unusable = |error: &dyn ToString| Failure::Unusable(error.to_string());
    // nothing is made in a folder that is no node's home
    let identity =
        NodeIdentity::load(&arguments.home.join("identity.key")).map_err(|error| unusable(&error))?;
    let manifest = Arc::new(consortium::load(&arguments.consortium).map_err(|error| unusable(&error))?);
    let config = Config::load(&arguments.home.join("config.toml")).map_err(|error| unusable(&error))?;
    if !manifest.contains(&identity.id()) {
        return Err(Failure::Unusable(format!(
            "{} is not a member of {}: this home's identity is on no line of {}",
            identity.keypair().public().to_peer_id(),
            manifest.name(),
            arguments.consortium.display()
        )));
    }
    let home = Home::open(&arguments.home)
        .map_err(|error| Failure::Unusable(format!("{}: {error}", arguments.home.display())))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Failed(error.to_string()))?;
    let options = NodeOptions {
        home,
        identity,
        manifest,
        listen: config.listen,
        reach: config.reach,
        peers: arguments.peer.clone(),
    };
    runtime.block_on(serve(options, config.api_port))
}

async fn serve(options: NodeOptions, api_port: Option<u16>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (api_is_up, up) = watch::channel(false);
    let ready = Ready {
        peer: options.identity.keypair().public().to_peer_id().to_string(),
        said: AtomicBool::new(false),
        up,
    };
    let (home, dials_only) = (options.home.clone(), options.listen.is_empty());
    let ready = Arc::new(ready);
    let feed = Arc::new(Feed::new(ready.clone()));
    let node = Node::start(options, feed.clone()).map_err(|error| match error {
        StartError::Ledger(LedgerError::InUse(_)) | StartError::Network(_) | StartError::Address { .. } => {
            Failure::Unusable(error.to_string())
        }
        StartError::Ledger(_) | StartError::Home { .. } => Failure::Failed(error.to_string()),
    })?;
    let api = match Api::start(&home, api_port, node.handle(), feed).await {
        Ok(api) => api,
        Err(error) => {
            let _ = tokio::time::timeout(SHUTDOWN, node.shutdown()).await;
            return Err(Failure::Unusable(error.to_string()));
        }
    };
    tracing::info!(at = api.addresses().join(" "), "local API");
    api_is_up.send_replace(true);
    if dials_only {
        ready.say("listening nowhere: others reach this node through relays");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    let stop = async {
        api.stop().await;
        node.shutdown().await;
    };
    tokio::time::timeout(SHUTDOWN, stop)
        .await
        .map_err(|_| Failure::Failed(format!("did not stop within {} s", SHUTDOWN.as_secs())))
}

/// Says once, on standard error, that the node is ready and where it listens.
struct Ready {
    peer: String,
    said: AtomicBool,
    /// Whoever reads the line may use the API.
    up: watch::Receiver<bool>,
}

impl Ready {
    fn say(&self, how: &str) {
        if !self.said.swap(true, Ordering::Relaxed) {
            eprintln!("ready {} {how}", self.peer);
        }
    }
}

impl Observer for Ready {
    fn notify(&self, event: NodeEvent) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let NodeEvent::Listening(addresses) = event
                && self.up.clone().wait_for(|up| *up).await.is_ok()
            {
                self.say(&format!("listening on {}", addresses.join(" ")));
            }
        })
    }
}
