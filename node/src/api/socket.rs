//! The socket of the API: made 0600, in place of what a dead daemon left, and found again.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
};

use crate::home::Home;

/// The longest path of a Unix socket, in bytes: `sun_path` of Linux without its final zero.
const LONGEST: usize = 107;

/// A path to a socket that the operating system takes, however long the home's is.
pub struct Reachable {
    path: PathBuf,
    /// What a shortened path goes through.
    _folder: Option<fs::File>,
}

impl Reachable {
    /// # Errors
    /// Where the path is too long and cannot be shortened.
    pub fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.into(), _folder: None });
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = fs::File::open(folder)?;
        let through = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
        let shorter = Path::new(&through);
        if !shorter.exists() || shorter.join(name).as_os_str().len() > LONGEST {
            return Err(io::Error::other(format!(
                "its path has {} bytes, but that of a socket at most {LONGEST}: move the home to a shorter one",
                path.as_os_str().len()
            )));
        }
        Ok(Self { path: shorter.join(name), _folder: Some(folder) })
    }

    /// The path to connect to or to bind, as long as this lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Listens on the home's socket. The ledger's lock shows that no other daemon uses it.
pub(super) fn bind(home: &Home) -> io::Result<UnixListener> {
    // nobody else gets into this folder, so nobody connects before the mode is set; the rename then replaces
    // what a dead daemon left
    let private = tempfile::Builder::new().prefix(".api-").tempdir_in(home.path())?;
    let new = private.path().join("api.sock");
    let listener = UnixListener::bind(Reachable::new(&new)?.path())?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, home.api_socket())?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn verify(home: &Path) {
        let home = Home::open(home).unwrap();
        let _dead = bind(&home).unwrap();
        let listener = bind(&home).expect("in place of the dead one");
        let mode = fs::metadata(home.api_socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let reachable = Reachable::new(&home.api_socket()).unwrap();
        UnixStream::connect(reachable.path()).unwrap();
        listener.set_nonblocking(false).unwrap();
        listener.accept().expect("the new one is asked");
        let left: Vec<_> =
            fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".api-")), "{left:?}");
    }

    #[test]
    fn is_private_and_replaces_a_dead_one() {
        verify(tempfile::tempdir().unwrap().path());
    }

    #[test]
    fn a_home_may_have_a_longer_path_than_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        verify(&folder.path().join("a".repeat(120)).join("b".repeat(120)));
    }
}
