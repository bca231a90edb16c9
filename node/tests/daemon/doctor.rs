//! What `consort doctor` says of homes in order, and of homes that are not.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    consortium::{Consortium, within},
    process::{Daemon, consort},
};

/// Exit code, and what is found: check, state, what, advice.
async fn doctor(home: &Path, consortium: &Consortium, more: &[&str]) -> (Option<i32>, Vec<[String; 4]>) {
    let mut command = consort();
    command.args(["doctor", "--json", "--home"]).arg(home).arg("--consortium").arg(consortium.file());
    let output = within(command.args(more).output()).await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let finding = |finding: &Value| ["check", "state", "what", "advice"].map(|key| text(&finding[key]));
    let findings: Vec<_> = found["findings"].as_array().unwrap().iter().map(finding).collect();
    assert_eq!(found["fine"].as_bool().unwrap(), output.status.success());
    (output.status.code(), findings)
}

/// What is wrong there, as `check: what → advice`.
async fn wrong(home: &Path, consortium: &Consortium, more: &[&str]) -> Vec<String> {
    let (code, findings) = doctor(home, consortium, more).await;
    let wrong = findings.into_iter().filter(|[_, state, ..]| state == "wrong");
    let wrong: Vec<_> = wrong.map(|[check, _, what, advice]| format!("{check}: {what} → {advice}")).collect();
    assert_eq!(code, Some(i32::from(!wrong.is_empty())), "{wrong:?}");
    wrong
}

fn configure(home: &Path, text: &str) {
    fs::write(home.join("config.toml"), text).unwrap();
}

fn assert_one(wrong: &[String], words: &[&str]) {
    let [only] = wrong else { panic!("one thing is wrong, not {wrong:?}") };
    assert!(words.iter().all(|word| only.contains(word)), "{only}");
}

#[tokio::test]
async fn a_home_in_order_is_fine_whether_its_node_runs_or_not() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    configure(&home, "listen = [\"/ip4/0.0.0.0/tcp/0\"]\n[reach]\nrelay = true\n");
    assert_eq!(wrong(&home, &consortium, &[]).await, [""; 0]);
    assert!(!home.join("ledger.redb").exists(), "nothing is made");
    let daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    let (code, findings) = doctor(&home, &consortium, &[]).await;
    assert_eq!(code, Some(0));
    let running = findings.iter().find(|[check, ..]| check == "ledger").unwrap();
    assert!(running[2].contains("a node runs"), "{running:?}");
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    let (_, findings) = doctor(&home, &consortium, &[]).await;
    for check in ["identity", "manifest", "role", "config", "ledger", "clock", "listen", "relay", "members"] {
        assert!(findings.iter().any(|[found, ..]| found == check), "{check}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_home_is_named_with_what_to_do() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let key = home.join("identity.key");
    configure(&home, "listen = [\"/ip4/0.0.0.0/tcp/0\"]\n");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_one(&wrong(&home, &consortium, &[]).await, &["identity", "0644", "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let file = fs::read_to_string(consortium.file()).unwrap();
    fs::write(consortium.file(), file.replace("gather_ms = 3000", "gather_ms = 3001")).unwrap();
    assert_one(&wrong(&home, &consortium, &[]).await, &["manifest", "edited after signing"]);
    fs::write(consortium.file(), file).unwrap();

    fs::write(home.join("ledger.redb"), "not a ledger").unwrap();
    let remedy = ["ledger.redb is damaged", "move it away, keep it, and start", "A home from an old copy"];
    assert_one(&wrong(&home, &consortium, &[]).await, &remedy);
    fs::remove_file(home.join("ledger.redb")).unwrap();

    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    fs::File::options().append(true).open(&key).unwrap().set_modified(tomorrow).unwrap();
    assert_one(&wrong(&home, &consortium, &[]).await, &["clock", "behind the last file"]);
    fs::File::options().append(true).open(&key).unwrap().set_modified(SystemTime::now()).unwrap();

    configure(&home, "lsiten = []\n");
    assert_one(&wrong(&home, &consortium, &[]).await, &["config", "line 1", "lsiten"]);
}

#[tokio::test]
async fn what_the_network_does_not_let_through_is_named_with_what_to_open() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();

    configure(&home, &format!("listen = [\"/ip4/0.0.0.0/tcp/{port}\"]\n"));
    assert_one(&wrong(&home, &consortium, &[]).await, &["listen", &port.to_string(), "choose another"]);

    configure(&home, "listen = [\"/ip4/127.0.0.1/tcp/0\"]\n");
    assert_one(&wrong(&home, &consortium, &[]).await, &["open", "loopback only", "listen = []"]);

    configure(&home, "listen = []\n");
    assert_one(
        &wrong(&home, &consortium, &[]).await,
        &["members", "no address that it could dial", "--peer"],
    );

    // of relays nothing is known, until somebody was reached through one
    let of_relays = async || {
        let (_, findings) = doctor(&home, &consortium, &[]).await;
        findings.into_iter().find(|[check, ..]| check == "relay").unwrap().join(": ")
    };
    let told = of_relays().await;
    assert!(
        told.contains("note: nothing here shows a member that relays") && told.contains("relay = true"),
        "{told}"
    );
    let through = format!("{{\"{}\": [\"/p2p/{}/p2p-circuit\"]}}", consortium.peer(1), consortium.peer(2));
    fs::write(home.join("addresses.json"), through).unwrap();
    let told = of_relays().await;
    assert!(told.contains("fine: members were reached through member-2"), "{told}");
    fs::remove_file(home.join("addresses.json")).unwrap();

    // somebody listens there, so the way is open; then nobody does
    let peer = format!("/ip4/127.0.0.1/tcp/{port}");
    assert_eq!(wrong(&home, &consortium, &["--peer", &peer]).await, [""; 0]);
    drop(taken);
    let told = wrong(&home, &consortium, &["--peer", &peer]).await;
    assert_one(&told, &["members", "no member answers", &port.to_string()]);

    configure(&home, "listen = [\"/ip4/0.0.0.0/tcp/0\"]\n");
    let (_, findings) = doctor(&home, &consortium, &[]).await;
    let open = findings.iter().find(|[check, ..]| check == "open").unwrap();
    assert!(open.join(" ").contains("TCP port"), "{open:?}");
}

#[tokio::test]
async fn a_folder_that_is_no_home_is_unusable() {
    let consortium = Consortium::found(3);
    let mut command = consort();
    let output = command.args(["doctor", "--home"]).arg(consortium.path("nowhere")).output();
    let output = within(output).await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no node's home"));
}
