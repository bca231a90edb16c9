//! A consortium is founded by commands alone, and what does not belong to it is refused.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{
    consortium::{ANY_PORT, replace, within},
    process::{Daemon, consort},
};

/// A folder in which people found consortia.
pub(crate) struct Office(TempDir);

impl Office {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `consort` in this folder. Gives its exit code, standard output, and standard error.
    pub(crate) async fn says(&self, arguments: &str) -> (i32, String, String) {
        let mut command = consort();
        let arguments = arguments.split_whitespace();
        let output = within(command.current_dir(self.0.path()).args(arguments).output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Standard output of a command that has to succeed.
    pub(crate) async fn run(&self, arguments: &str) -> String {
        let (code, stdout, stderr) = self.says(arguments).await;
        assert_eq!(code, 0, "consort {arguments}: {stderr}");
        stdout
    }

    /// A command that has to fail with this code, in one line that says all of these.
    pub(crate) async fn refused(&self, code: i32, arguments: &str, said: &[&str]) {
        let (found, stdout, stderr) = self.says(arguments).await;
        assert_eq!(found, code, "consort {arguments}: {stdout}{stderr}");
        let line = stderr.lines().last().unwrap_or_default();
        assert!(line.starts_with("error: "), "consort {arguments}: {stderr}");
        for part in said {
            assert!(line.contains(part), "consort {arguments}: {part:?} is not in: {line}");
        }
    }

    /// New homes `a`, `b`, … and their cards `a.card`, `b.card`, …
    pub(crate) async fn init(&self, names: &[&str]) {
        for name in names {
            let printed = self.run(&format!("init --home {name} --name {name} --listen {ANY_PORT}")).await;
            fs::write(self.path(&format!("{name}.card")), printed).unwrap();
        }
    }

    /// `consortium.toml`, signed by all of these.
    pub(crate) async fn found(&self, names: &[&str]) {
        self.init(names).await;
        let cards: Vec<String> = names.iter().map(|name| format!("{name}.card")).collect();
        let cards = cards.join(" ");
        self.run(&format!("consortium create --name wards --member {cards} --out consortium.toml")).await;
        for name in names {
            self.run(&format!("consortium sign consortium.toml --home {name}")).await;
        }
    }
}

#[tokio::test]
async fn three_found_a_consortium_by_commands_only() {
    let office = Office::new();
    office.init(&["a", "b", "c"]).await;
    let mode = fs::metadata(office.path("a/identity.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(office.read("a/config.toml").contains("# "), "it explains itself");
    let card = office.run("card --home a").await;
    assert!(office.read("a.card").contains(card.trim()), "the same card as at first");

    let create = "consortium create --name wards --member a.card b.card c.card --out consortium.toml";
    let said = office.run(create).await;
    assert!(said.contains("0 of 3 signatures") && said.contains("consortium sign"), "{said}");
    office.run("consortium sign consortium.toml --home a").await;
    office.refused(1, "consortium verify consortium.toml", &["not signed by", "b", "c"]).await;
    office.refused(2, "run --home a --consortium consortium.toml", &["not signed by"]).await;

    // the other two sign copies and mail them back
    for name in ["b", "c"] {
        fs::copy(office.path("consortium.toml"), office.path(&format!("from-{name}.toml"))).unwrap();
        office.run(&format!("consortium sign from-{name}.toml --home {name}")).await;
    }
    let said = office.run("consortium merge consortium.toml from-b.toml from-c.toml").await;
    assert!(said.contains("3 of 3 signatures, complete"), "{said}");
    office.run("consortium verify consortium.toml").await;

    let shown = office.run("consortium show consortium.toml").await;
    for words in [
        "wards, epoch 0, 3 members",
        "complete",
        "round 0",
        "round 2",
        "nobody of 3 may vanish",
        "up to 1 may collude",
        "found the consortium anew",
    ] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&office.run("consortium show consortium.toml --json").await).unwrap();
    assert_eq!((json["epoch"].as_u64(), json["complete"].as_bool()), (Some(0), Some(true)));
    assert_eq!((json["may_vanish"].as_u64(), json["corrupt"].as_u64()), (Some(0), Some(1)));
    let mut due: Vec<_> = json["members"].as_array().unwrap().iter().collect();
    due.sort_by_key(|member| member["aggregates_in_round"].as_u64());
    assert!((0..).zip(&due).all(|(round, member)| member["aggregates_in_round"] == round));

    let daemon = Daemon::start(&office.path("a"), &office.path("consortium.toml"), &[]).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
    assert!(office.path("a/consortium.toml").exists(), "the home keeps it");
}

#[tokio::test]
async fn an_identity_is_never_overwritten_nor_used_when_others_may_read_it() {
    let office = Office::new();
    office.init(&["a"]).await;
    let key = office.read("a/identity.key");
    office.refused(2, "init --home a", &["has an identity already", "another folder"]).await;
    assert_eq!(office.read("a/identity.key"), key);
    fs::set_permissions(office.path("a/identity.key"), fs::Permissions::from_mode(0o644)).unwrap();
    office.refused(2, "card --home a", &["identity.key", "0644", "chmod 600"]).await;
    fs::write(office.path("m.toml"), "").unwrap();
    office.refused(2, "consortium sign m.toml --home a", &["0644", "chmod 600"]).await;
}

#[tokio::test]
async fn cards_and_rules_that_are_refused() {
    let office = Office::new();
    office.init(&["a", "b", "c", "d"]).await;
    let (code, _, said) = office.says("init --home e --listen /dns4/ward.example/tcp/4040").await;
    assert!(code == 2 && said.contains("no names"), "{said}");
    assert!(!office.path("e").exists());
    fs::create_dir(office.path("node")).unwrap();
    fs::write(office.path("node/Cargo.toml"), "").unwrap();
    office.refused(2, "init --home node", &["node is not empty"]).await;
    let create = |cards: &str, more: &str| {
        format!("consortium create --name wards --member {cards} --out new.toml {more}")
    };
    let peer = |card: &str| card.lines().find(|line| line.starts_with("peer: ")).unwrap().to_owned();
    let (mine, theirs) = (office.read("a.card"), office.read("b.card"));
    fs::write(office.path("stolen.card"), mine.replace(&peer(&mine), &peer(&theirs))).unwrap();
    office.refused(2, &create("stolen.card c.card d.card", ""), &["stolen.card", "proof", "does not"]).await;
    fs::write(office.path("edited.card"), mine.replace("name: a", "name: x")).unwrap();
    office.refused(2, &create("edited.card c.card d.card", ""), &["edited.card", "changed under way"]).await;
    office.refused(2, &create("nowhere.card c.card d.card", ""), &["nowhere.card", "No such file"]).await;
    office.refused(2, &create("a.card b.card", ""), &["2 members", "3 to 1000"]).await;
    office.refused(2, &create("a.card b.card a.card", ""), &["given twice"]).await;

    let all = "a.card b.card c.card d.card";
    for (flags, said) in [
        ("--corrupt 2", ["corrupt is 2", "1 to 1 for 4 members"]),
        ("--corrupt 0", ["corrupt is 0", "1 to 1"]),
        ("--min-participants 2", ["min_participants is 2", "3 to 4"]),
        ("--min-survivors 2", ["min_survivors is 2", "3 to 4"]),
        ("--clip inf", ["clip is inf", "positive"]),
        ("--step 0.3", ["--step", "power of two"]),
        ("--gather soon", ["--gather", "500ms"]),
    ] {
        office.refused(2, &create(all, flags), &said).await;
        assert!(!office.path("new.toml").exists(), "{flags}");
    }
    office.run(&create(all, "--corrupt 1 --gather 30s --step 2^-20")).await;
    // what has been signed is not lost to a slip
    office.run("consortium sign new.toml --home a").await;
    office.refused(2, &create(all, "--corrupt 1"), &["new.toml", "a signed", "another name"]).await;
    office.run("consortium set new.toml gather=20s --out new.toml").await;
    office.refused(2, "consortium set new.toml corrupt=3 --out x.toml", &["corrupt is 3"]).await;
    office.refused(2, "consortium set new.toml colour=red --out x.toml", &["colour", "no such rule"]).await;
    replace(&office.path("new.toml"), "gather_ms", "gather_sm");
    office.refused(2, "consortium show new.toml", &["new.toml", "line ", "gather_sm"]).await;
}

#[tokio::test]
async fn manifests_that_are_edited_foreign_expired_or_forked() {
    let office = Office::new();
    office.found(&["a", "b", "c", "d"]).await;
    let file = |name: &str| office.path(name);
    let start = |home: &'static str, manifest: &str| {
        let (home, manifest) = (office.path(home), office.path(manifest));
        async move {
            let daemon = Daemon::start(&home, &manifest, &[]).await;
            assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
        }
    };
    start("a", "consortium.toml").await;

    fs::copy(file("consortium.toml"), file("edited.toml")).unwrap();
    replace(&file("edited.toml"), "gather_ms = 5000", "gather_ms = 5001");
    for command in ["verify edited.toml", "sign edited.toml --home b", "show edited.toml"] {
        let code = if command.starts_with("verify") { 1 } else { 2 };
        office.refused(code, &format!("consortium {command}"), &["edited after signing"]).await;
    }
    // an epoch, by three of four
    let next = "consortium set consortium.toml gather=7s --out next.toml";
    office.run(next).await;
    for name in ["a", "b"] {
        office.run(&format!("consortium sign next.toml --home {name}")).await;
    }
    let few = ["2 of the 3 signatures", "more than two thirds"];
    office.refused(1, "consortium verify next.toml", &few).await;
    office.refused(2, "run --home b --consortium next.toml", &few).await;
    office.run("consortium sign next.toml --home c").await;
    office.run("consortium verify next.toml --previous consortium.toml").await;
    office.refused(2, next, &["next.toml", "choose another name"]).await;

    // the other manifest of epoch 1: nobody signs two, unless told to
    office.run("consortium set consortium.toml gather=9s --out other.toml").await;
    office.refused(2, "consortium sign other.toml --home b", &["has signed another", "--instead"]).await;
    for name in ["b", "c", "d"] {
        office.run(&format!("consortium sign other.toml --home {name} --instead")).await;
    }
    let fork = ["ALARM", "epoch 1", "b", "c"];
    office.refused(1, "consortium verify other.toml --previous next.toml", &fork).await;
    start("a", "next.toml").await;
    office.refused(2, "run --home a --consortium other.toml", &fork).await;
    office.refused(2, "consortium adopt other.toml --home a", &fork).await;

    // rolled back: the newest counts, and nothing old is signed or taken any more
    start("a", "consortium.toml").await;
    assert_eq!(office.read("a/consortium.toml"), office.read("next.toml"), "it stays at epoch 1");
    let expired = ["epoch 0 has expired", "epoch 1"];
    office.refused(2, "consortium adopt consortium.toml --home a", &expired).await;
    office.refused(2, "consortium sign consortium.toml --home a", &expired).await;
    office.refused(1, "consortium verify consortium.toml --previous next.toml", &expired).await;
    office.run("consortium set consortium.toml gather=8s --out late.toml").await;
    office.refused(2, "consortium sign late.toml --home a", &["epoch 1 has expired"]).await;

    // another consortium
    let foreign = Office::new();
    foreign.found(&["x", "y", "z"]).await;
    fs::copy(foreign.path("consortium.toml"), file("foreign.toml")).unwrap();
    for command in
        ["run --consortium foreign.toml", "consortium adopt foreign.toml", "consortium sign foreign.toml"]
    {
        office.refused(2, &format!("{command} --home a"), &["another consortium", "founded as"]).await;
    }
    let stranger = ["not a member of wards", "epoch 0"];
    office.refused(2, "run --home d --consortium foreign.toml", &stranger).await;
    office.refused(2, "consortium adopt next.toml --home d", &["no consortium yet"]).await;
    skips(&office, &file("next.toml")).await;
}

/// `--previous` wants the epoch right before.
async fn skips(office: &Office, next: &Path) {
    assert!(next.exists());
    office.run("consortium remove next.toml --member d --out third.toml").await;
    for name in ["a", "b", "c"] {
        office.run(&format!("consortium sign third.toml --home {name}")).await;
    }
    office.run("consortium verify third.toml --previous next.toml").await;
    let said = ["epoch 2 does not directly follow epoch 0"];
    office.refused(1, "consortium verify third.toml --previous consortium.toml", &said).await;
    office.refused(2, "run --home d --consortium third.toml", &["not a member", "epoch 2"]).await;
}

/// A member that has lost its key is replaced by the others, in one epoch.
#[tokio::test]
async fn a_lost_identity_is_replaced_by_the_others() {
    let office = Office::new();
    office.found(&["a", "b", "c", "d"]).await;
    let shown = office.run("consortium show consortium.toml").await;
    assert!(shown.contains("any 1 of 4 may vanish; up to 1 may collude"), "{shown}");
    assert!(shown.contains("up to 1 lost identities are replaced"), "{shown}");
    office.run("init --home new --name d --listen /ip4/127.0.0.1/tcp/4041").await;
    fs::write(office.path("new.card"), office.run("card --home new").await).unwrap();
    let taken = ["another member has the same name"];
    office.refused(2, "consortium add consortium.toml --member new.card --out n.toml", &taken).await;
    office.run("consortium remove consortium.toml --member d --out next.toml").await;
    office.run("consortium add next.toml --member new.card --out next.toml").await;
    office.refused(2, "consortium sign next.toml --home new", &["new in this epoch"]).await;
    for name in ["a", "b", "c"] {
        office.run(&format!("consortium sign next.toml --home {name}")).await;
    }
    let shown = office.run("consortium show next.toml").await;
    for words in ["Changes since epoch 0:", "new: d", "removed: d", "d, KEY: 12D3", "4 members", "complete"] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    let nobody = ["nobody is called"];
    office.refused(2, "consortium remove next.toml --member zoe --out x.toml", &nobody).await;
    office.refused(2, "run --home d --consortium next.toml", &["not a member of wards in epoch 1"]).await;
    let daemon = Daemon::start(&office.path("new"), &office.path("next.toml"), &[]).await;
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}
