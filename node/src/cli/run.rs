//! `consort run`: the daemon.

mod reload;

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
    config::{Config, peer_address},
    consortium::{self, Draft},
    events::{NodeEvent, Observer},
    home::Home,
    identity::NodeIdentity,
    ledger::LedgerError,
    limits,
};
use libp2p::Multiaddr;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::Failure;
use reload::Reload;

/// Stopping takes no longer than this, once no round is left to finish.
const SHUTDOWN: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The node's home, with its identity.key
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The signed manifest of the consortium; the home's own where it is left out, and where that is newer
    #[arg(long, value_name = "FILE")]
    consortium: Option<PathBuf>,
    /// Address of a member to begin with; one is enough, the others are found
    #[arg(long, value_name = "MULTIADDR", value_parser = peer_address)]
    peer: Vec<Multiaddr>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unusable = |error: &dyn ToString| Failure::Unusable(error.to_string());
    // nothing is made in a folder that is no node's home
    let identity =
        NodeIdentity::load(&arguments.home.join("identity.key")).map_err(|error| unusable(&error))?;
    let own = Home::at(&arguments.home);
    let (chain, from_file) =
        consortium::newest(&own, arguments.consortium.as_deref()).map_err(|error| unusable(&error))?;
    let manifest = chain.manifest();
    let config = Config::load(&arguments.home.join("config.toml")).map_err(|error| unusable(&error))?;
    if !manifest.contains(&identity.id()) {
        return Err(Failure::Unusable(format!(
            "{} is not a member of {} in epoch {}: this home's identity is on no line of {}",
            identity.keypair().public().to_peer_id(),
            manifest.name(),
            manifest.epoch(),
            arguments.consortium.as_ref().filter(|_| from_file).unwrap_or(&own.consortium()).display()
        )));
    }
    let home = Home::open(&arguments.home)
        .map_err(|error| Failure::Unusable(format!("{}: {error}", arguments.home.display())))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Failed(error.to_string()))?;
    let options = NodeOptions {
        home,
        identity,
        consortium: chain,
        listen: config.listen.clone(),
        reach: config.reach.clone(),
        limits: config.limits,
        consent: config.consent.clone(),
        peers: arguments.peer.clone(),
    };
    let file = arguments.consortium.clone();
    runtime.block_on(serve(options, config, file, from_file))
}

/// Runs until told to stop, or removed. A manifest from the file is kept in the home.
async fn serve(
    options: NodeOptions,
    config: Config,
    given: Option<PathBuf>,
    from_file: bool,
) -> Result<(), Failure> {
    let no_signals = |error: std::io::Error| Failure::Failed(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let (id, chain, file) = (options.identity.id(), options.consortium.clone(), options.home.consortium());
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
        StartError::Ledger(
            LedgerError::InUse(_)
            | LedgerError::Format { .. }
            | LedgerError::Damaged { .. }
            | LedgerError::Open { .. },
        )
        | StartError::Network(_)
        | StartError::Address { .. } => Failure::Unusable(error.to_string()),
        StartError::Ledger(_) | StartError::Home { .. } => Failure::Failed(error.to_string()),
    })?;
    let api = match Api::start(&home, config.api_port, node.handle(), feed).await {
        Ok(api) => api,
        Err(error) => {
            let _ = tokio::time::timeout(SHUTDOWN, node.shutdown()).await;
            return Err(Failure::Unusable(error.to_string()));
        }
    };
    tracing::info!(at = api.addresses().join(" "), "local API");
    api_is_up.send_replace(true);
    let source = if from_file { "the file" } else { "this home" };
    let (name, epoch) = (chain.manifest().name().to_owned(), chain.manifest().epoch());
    tracing::info!(consortium = name, epoch, "running with the manifest of {source}");
    if from_file && let Err(error) = Draft::from(chain).write(&file) {
        tracing::error!(%error, "the home does not keep the manifest");
    }
    let mut consortium = node.consortium();
    let mut failed = node.failed();
    let mut ended = None;
    if dials_only {
        ready.say("listening nowhere: it needs a member that relays to meet others that only dial out");
    }
    let ledger = home.ledger();
    let mut reload = Reload::new(home, config, given);
    loop {
        tokio::select! {
            // a reason goes before the silence of whoever had it
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload.run(&node).await,
            Ok(reason) = failed.wait_for(Option::is_some) => {
                ended = reason.as_ref().map(|reason| {
                    format!(
                        "{}: {reason}; free the disk and start the node again, inputs that wait are kept",
                        ledger.display()
                    )
                });
                break;
            }
            without = consortium.wait_for(|chain| !chain.manifest().contains(&id)) => {
                ended = Some(match without {
                    Ok(without) => {
                        let epoch = without.manifest().epoch();
                        format!("this node was removed from the consortium in epoch {epoch}")
                    }
                    Err(_) => "the node has ended by itself, which it should not: the log says more".into(),
                });
                break;
            }
        }
    }
    tracing::info!("stopping");
    tell_systemd(&[NotifyState::Stopping]);
    // the local API goes on, for whoever waits for the aggregate
    tokio::select! {
        _ = terminate.recv() => tracing::warn!("told twice: leaving the round as it is"),
        _ = interrupt.recv() => tracing::warn!("told twice: leaving the round as it is"),
        ended = tokio::time::timeout(limits::FINISH_PATIENCE, node.finish()) => match ended {
            // whoever waits for its aggregate asks several times a second
            Ok(true) => tokio::time::sleep(limits::API_LINGER).await,
            Ok(false) => {}
            Err(_) => tracing::warn!("the round does not end in time: leaving it as it is"),
        },
    }
    let stop = async {
        api.stop().await;
        node.shutdown().await;
    };
    tokio::time::timeout(SHUTDOWN, stop)
        .await
        .map_err(|_| Failure::Failed(format!("did not stop within {} s", SHUTDOWN.as_secs())))?;
    ended.map_or(Ok(()), |reason| Err(Failure::Failed(reason)))
}

/// A service of `Type=notify` waits for this; without systemd it goes nowhere.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "systemd does not listen");
    }
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
            tell_systemd(&[NotifyState::Ready]);
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
