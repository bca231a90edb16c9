//! Homes and manifests that a daemon does not start with: exit code 2 and one clear line.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
};

use consort_node::{consortium::Draft, identity::NodeIdentity};
use consort_protocol::manifest::SignedManifest;

use super::{
    consortium::{ANY_PORT, Consortium, replace, within},
    process::{Daemon, run},
};

#[tokio::test]
async fn manifests_that_not_all_have_signed_as_they_stand() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let file = consortium.path("other.toml");
    let write = |signed: &SignedManifest| Draft::first(signed.clone()).write(&file).unwrap();

    let mut unsigned = consortium.signed.clone();
    unsigned.signatures.remove(&consortium.id(1));
    write(&unsigned);
    verify_refusal(&home, &file, &["other.toml", "not signed by member-1"]).await;

    write(&consortium.signed);
    replace(&file, "gather_ms = 3000", "gather_ms = 3001");
    verify_refusal(&home, &file, &["other.toml", "edited after signing"]).await;

    write(&consortium.signed);
    replace(&file, "member-2", "member-9");
    verify_refusal(&home, &file, &["other.toml", "edited after signing"]).await;

    write(&consortium.signed);
    replace(&file, "epoch = 0", "epoch = 1");
    verify_refusal(&home, &file, &["other.toml", "epoch 1"]).await;

    fs::write(&file, "name = \"test\"\nepoch = zero\n").unwrap();
    verify_refusal(&home, &file, &["other.toml", "line 2"]).await;

    fs::remove_file(&file).unwrap();
    verify_refusal(&home, &file, &["other.toml", "No such file"]).await;
    assert!(!home.join("ledger.redb").exists());
}

#[tokio::test]
async fn identities_that_are_missing_foreign_or_exposed() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let key = home.join("identity.key");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    verify_refusal(&home, &consortium.file(), &["identity.key", "0644", "chmod 600"]).await;

    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "not a key\n").unwrap();
    verify_refusal(&home, &consortium.file(), &["identity.key", "hexadecimal"]).await;

    fs::remove_file(&key).unwrap();
    verify_refusal(&home, &consortium.file(), &["identity.key", "no node's home"]).await;

    let stranger = NodeIdentity::from_secret(&[99; 32]);
    stranger.save(&key).unwrap();
    let said = stranger.keypair().public().to_peer_id().to_string();
    verify_refusal(&home, &consortium.file(), &[said.as_str(), "not a member of test", "consortium.toml"])
        .await;

    let nowhere = consortium.path("nowhere");
    verify_refusal(&nowhere, &consortium.file(), &["nowhere", "no node's home"]).await;
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn addresses_in_use_and_settings_that_mean_nothing() {
    let consortium = Consortium::found(3);
    let (home, config) = (consortium.home(0), consortium.home(0).join("config.toml"));
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for address in [
        format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port()),
        format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.local_addr().unwrap().port()),
    ] {
        fs::write(&config, format!("listen = [\"{address}\"]\n")).unwrap();
        verify_refusal(&home, &consortium.file(), &[&address, "in use"]).await;
    }
    fs::write(&config, format!("listen = [\"{ANY_PORT}\"]\nlissten = []\n")).unwrap();
    verify_refusal(&home, &consortium.file(), &["config.toml", "line 2", "lissten"]).await;
    fs::write(&config, "listen = [\"127.0.0.1:4040\"]\n").unwrap();
    verify_refusal(&home, &consortium.file(), &["config.toml", "line 1", "no address"]).await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_home() {
    let consortium = Consortium::found(3);
    let first = Daemon::start(&consortium.home(0), &consortium.file(), &[]).await;
    verify_refusal(&consortium.home(0), &consortium.file(), &["home-0", "another node runs on this home"])
        .await;
    assert_eq!(first.end(nix::sys::signal::Signal::SIGINT).await, Some(0));
    let third = Daemon::start(&consortium.home(0), &consortium.file(), &[]).await;
    assert_eq!(third.end(nix::sys::signal::Signal::SIGTERM).await, Some(0));
}

/// What the node itself has written, and a disk has spoiled.
#[tokio::test]
async fn files_of_a_home_that_are_damaged() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    assert_eq!(daemon.end(nix::sys::signal::Signal::SIGTERM).await, Some(0));

    let ledger = home.join("ledger.redb");
    let whole = fs::read(&ledger).unwrap();
    let remedy = ["ledger.redb is damaged", "move it away, keep it, and start", "A home from an old copy"];
    for damaged in [&whole[..whole.len() / 2], b"not a ledger"] {
        fs::write(&ledger, damaged).unwrap();
        verify_refusal(&home, &consortium.file(), &remedy).await;
    }
    let guide = include_str!("../../../docs/operate.md");
    assert!(guide.contains("**A home from an old copy**") && guide.contains("Move it away, keep it"));
    fs::write(&ledger, &whole).unwrap();

    let own = home.join("consortium.toml");
    let text = fs::read_to_string(&own).unwrap();
    let copy = ["home-0/consortium.toml", "replace it with a copy from a member whose node runs"];
    for damaged in [&text[..text.len() / 2], &text.replace("gather_ms = 3000", "gather_ms = 3001")] {
        fs::write(&own, damaged).unwrap();
        verify_refusal(&home, &consortium.file(), &copy).await;
    }
    // that is what helps
    fs::copy(consortium.file(), &own).unwrap();
    let daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    assert_eq!(daemon.end(nix::sys::signal::Signal::SIGTERM).await, Some(0));
}

async fn verify_refusal(home: &Path, consortium: &Path, said: &[&str]) {
    let Output { status, stdout, stderr } = within(run(home, consortium).output()).await.unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    let line = stderr.trim_end_matches('\n');
    assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{said:?}: {line}");
    assert!(line.starts_with("error: ") && !line.contains('\n'), "{line:?}");
    for part in said {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}
