//! `addresses.json`: where the other members were found, so that a node that starts again finds them although
//! the one that it knew from its operator is away.
//!
//! What it says is tried and believed no more than a rumour, so a file that is lost or wrong costs time only.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use consort_protocol::{ids::MemberId, manifest::Manifest};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;

use crate::{files::read_bounded, identity};

/// Members and their addresses.
pub type Addresses = BTreeMap<MemberId, Vec<Multiaddr>>;

/// Files larger than this are not read: 1000 members with 16 addresses of 256 bytes stay below.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// The file is written no more often than this.
const PAUSE: Duration = Duration::from_secs(5);

/// Reads what the file says of members. What is wrong with it is logged.
#[must_use]
pub fn load(path: &Path, manifest: &Manifest) -> Addresses {
    match read(path) {
        Ok(mut addresses) => {
            addresses.retain(|member, _| manifest.contains(member));
            addresses
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Addresses::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "addresses of the last run are not used");
            Addresses::new()
        }
    }
}

/// Writes the file whenever there is something new, until the network ends. Of members that have not been
/// heard of since the start it keeps what was there.
pub(crate) async fn keep(path: PathBuf, remembered: Addresses, mut known: watch::Receiver<Addresses>) {
    let mut all = remembered;
    while known.changed().await.is_ok() {
        all.extend(known.borrow_and_update().clone());
        let (to, addresses) = (path.clone(), all.clone());
        let written = tokio::task::spawn_blocking(move || write(&to, &addresses)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(path = %path.display(), %error, "addresses are not kept");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn read(path: &Path) -> io::Result<Addresses> {
    let text = read_bounded(path, MAX_FILE_BYTES)?
        .ok_or_else(|| io::Error::other(format!("more than {MAX_FILE_BYTES} bytes")))?;
    let spelled: BTreeMap<PeerId, Vec<Multiaddr>> = serde_json::from_str(&text)?;
    let member = |(peer, addresses)| identity::member_id(&peer).ok().map(|member| (member, addresses));
    Ok(spelled.into_iter().filter_map(member).collect())
}

/// In one step, so that a crash leaves the old file or the new one.
fn write(path: &Path, addresses: &Addresses) -> io::Result<()> {
    let spell = |(member, addresses)| identity::peer_id(member).ok().map(|peer| (peer, addresses));
    let spelled: BTreeMap<PeerId, &Vec<Multiaddr>> = addresses.iter().filter_map(spell).collect();
    let folder = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, &spelled)?;
    file.write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_protocol::{manifest::Policy, sim::consortium};

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let manifest = consortium(3, Policy::default(), 1).unwrap().manifest;
        assert!(load(&path, &manifest).is_empty(), "there is none yet");
        let addresses: Vec<Multiaddr> = vec![
            "/ip4/192.0.2.7/tcp/4040".parse().unwrap(),
            "/dns4/a.example/udp/1/quic-v1".parse().unwrap(),
        ];
        let member = manifest.members()[1].id;
        let stranger = identity::NodeIdentity::from_secret(&[1; 32]).id();
        write(&path, &Addresses::new()).unwrap();
        write(&path, &[(member, addresses.clone()), (stranger, addresses.clone())].into()).unwrap();
        assert_eq!(load(&path, &manifest), [(member, addresses)].into());
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let manifest = consortium(3, Policy::default(), 1).unwrap().manifest;
        for text in ["", "{", "[]", r#"{"nobody": []}"#, r#"{"12D3KooW": ["/ip4/1.2.3.4"]}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(load(&path, &manifest).is_empty(), "{text:?}");
        }
        std::fs::write(&path, " ".repeat(MAX_FILE_BYTES as usize + 1)).unwrap();
        assert!(load(&path, &manifest).is_empty());
    }
}
