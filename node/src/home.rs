//! A node's home: the folder with everything that outlives a process.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Paths in a node's home.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// A home in this folder, which is made (0700 on Unix) if it does not exist.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path)?;
        let home = Self(path.to_path_buf());
        builder.create(home.results())?;
        Ok(home)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The secret key, 0600.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// The node's own settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The signed manifest.
    #[must_use]
    pub fn consortium(&self) -> PathBuf {
        self.0.join("consortium.toml")
    }

    /// Where the other members were found, for the next start.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.0.join("addresses.json")
    }

    /// Rounds, certificates and what must not be forgotten.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.redb")
    }

    /// Evidence against members, a file each.
    #[must_use]
    pub fn evidence(&self) -> PathBuf {
        self.0.join("evidence")
    }

    /// Inputs that wait for a round, and what became of earlier ones.
    #[must_use]
    pub fn inputs(&self) -> PathBuf {
        self.0.join("inputs")
    }

    /// The socket of the local API, 0600.
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    /// What the local API asks for over TCP, 0600.
    #[must_use]
    pub fn api_token(&self) -> PathBuf {
        self.0.join("api.token")
    }

    /// Sums of recent rounds.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.0.join("results")
    }
}
