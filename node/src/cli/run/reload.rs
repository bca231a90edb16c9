//! SIGHUP: what can change while the node runs is changed, and what cannot is named.

use std::path::{Path, PathBuf};

use consort_node::{Node, config::Config, consortium::Draft, home::Home};
use sd_notify::NotifyState;

use super::tell_systemd;

/// What the node runs with, to compare with what its files say.
pub(super) struct Reload {
    home: Home,
    config: Config,
    /// Where the operator keeps the manifest, beside the home.
    consortium: Option<PathBuf>,
}

impl Reload {
    pub(super) fn new(home: Home, config: Config, consortium: Option<PathBuf>) -> Self {
        Self { home, config, consortium }
    }

    /// Reads config.toml and consortium.toml of the home again. A file with a mistake changes nothing.
    pub(super) async fn run(&mut self, node: &Node) {
        // systemd from 253 on asks for the time with it
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell_systemd(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "systemd is not told"),
        }
        self.settings(node);
        self.manifest(node, &self.home.consortium()).await;
        if let Some(file) = &self.consortium {
            self.manifest(node, file).await;
        }
        tell_systemd(&[NotifyState::Ready]);
    }

    fn settings(&mut self, node: &Node) {
        let path = self.home.config();
        // a node starts without one, but whoever sends the signal has one in mind
        if !path.exists() {
            return tracing::error!(file = %path.display(), "there is no config.toml: the node goes on with the settings that it has");
        }
        let config = match Config::load(&path) {
            Ok(config) => config,
            Err(error) => {
                return tracing::error!(%error, "config.toml not reloaded: the node goes on with the settings that it has");
            }
        };
        let fixed = self.config.needs_restart(&config);
        if !fixed.is_empty() {
            tracing::warn!(
                settings = fixed.join(", "),
                "changed in config.toml, and in force after a restart"
            );
        }
        if config.limits != self.config.limits {
            node.set_limits(config.limits);
            self.config.limits = config.limits;
        }
        let limits = config.limits;
        tracing::info!(
            memory_mib = limits.memory_mib,
            round_mib = limits.round_mib,
            uploads = limits.uploads,
            "config.toml reloaded"
        );
    }

    async fn manifest(&self, node: &Node, file: &Path) {
        let draft = match Draft::read(file) {
            Ok(draft) => draft,
            Err(error) => return tracing::error!(%error, "manifest not reloaded"),
        };
        let (epoch, file) = (draft.last.body.epoch, file.display());
        match node.adopt(draft.epochs()).await {
            Ok(Some(tally)) => {
                tracing::info!(%file, epoch, signatures = tally.found, needed = tally.needed, "manifest reloaded");
            }
            Ok(None) => tracing::info!(%file, epoch, "the manifest says nothing new"),
            Err(error) => tracing::error!(%file, %error, "manifest not reloaded"),
        }
    }
}
