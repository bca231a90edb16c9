//! The operator's guide, played by four founders and a newcomer.

use std::fs;

use consort_protocol::array::Values;

use super::{
    commands::{Page, Shown, calls},
    desk::{Daemon, Desk, free_address},
};

pub(crate) const PAGE: &str = "docs/operate.md";

/// What is under this heading.
fn section(title: &str) -> Page {
    let page = Page::read(PAGE);
    let heading = format!("\n## {title}\n");
    let start = page.text.find(&heading).unwrap_or_else(|| panic!("{PAGE} has no section '{title}'"));
    let rest = &page.text[start + heading.len()..];
    let text = rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned();
    Page { name: format!("{PAGE}, {title}"), text }
}

/// The members, and what runs.
#[derive(Default)]
struct Play {
    desk: Desk,
    /// Which home the page calls `~/.consort`.
    reader: &'static str,
    daemons: Vec<(&'static str, Daemon)>,
    /// Where the first daemon listens.
    address: Option<String>,
}

impl Play {
    /// Word for word, but for addresses, which are none of this machine, the home, and names that follow from keys.
    fn line(&self, command: &Shown) -> String {
        let mut line = command.arguments.join(" ");
        for shown in ["/ip4/192.0.2.7/tcp/4040", "/ip4/192.0.2.9/tcp/4040"] {
            line = line.replace(shown, &free_address());
        }
        let proposals = self.desk.path("ward-1/proposals");
        if let Some(shown) = line.split(' ').find(|word| word.contains("/proposals/epoch-1-")) {
            let proposal = || fs::read_dir(&proposals).ok()?.next()?.ok();
            self.desk.until("the proposal is with the others", || proposal().is_some());
            let name = proposal().unwrap().file_name().into_string().unwrap();
            line = line.replace(shown, &format!("~/.consort/proposals/{name}"));
        }
        line.replace("~/.consort", self.reader).replace("/var/lib/consort", "service").replace("~/", "")
    }

    fn start(&mut self, who: &'static str, line: &str) {
        let peer = self.address.iter().map(|address| format!(" --peer {address}")).collect::<String>();
        let (daemon, address) = Daemon::start(self.desk.command(&format!("{line}{peer}")));
        self.address.get_or_insert(address);
        self.daemons.push((who, daemon));
    }

    fn status(&self, who: &str) -> serde_json::Value {
        let status = self.desk.run(&format!("status --home {who} --json")).stdout;
        serde_json::from_slice(&status).unwrap()
    }

    fn epoch_is_in_force(&self, who: &str, epoch: u64) -> bool {
        self.status(who)["consortium"]["epoch"] == epoch
    }

    /// What is done in a container is done in a folder, by a member of another consortium.
    fn container(&mut self) -> usize {
        for name in ["north", "south"] {
            self.desk.init(name);
        }
        self.section("In a container", |play, line| {
            let line = line.replace("service", "container");
            let manifest = "container/consortium.toml";
            if line.starts_with("init") {
                // the image listens where another test may
                play.desk.run(&format!("{line} --listen {}", free_address()));
                play.desk.card("container", "container");
                let members = "north.card south.card container.card";
                play.desk.run(&format!("consortium create --name wards --member {members} --out {manifest}"));
                return true;
            }
            if line.starts_with("status") {
                for name in ["north", "south"] {
                    play.desk.run(&format!("consortium sign {manifest} --home {name}"));
                }
                play.start("container", "run --home container");
            }
            play.desk.run(&line);
            true
        })
    }

    /// Plays a section; gives how many commands there were.
    fn section(&mut self, title: &str, mut act: impl FnMut(&mut Self, &str) -> bool) -> usize {
        let shown = calls("consort", &section(title));
        for command in &shown {
            let line = self.line(command);
            if !act(self, &line) {
                self.desk.run(&line);
            }
        }
        shown.len()
    }
}

#[test]
fn the_commands_of_the_guide_run() {
    let mut play = Play { reader: "ward-7", ..Play::default() };
    let founders = ["ward-1", "ward-5", "ward-7", "ward-8"];
    for name in ["ward-1", "ward-5", "ward-8"] {
        play.desk.init(name);
    }
    play.desk.write("counts.npy", Values::I64(vec![3, 1, 4]));

    let mut played = play.section("Founding", |play, line| {
        let desk = &play.desk;
        if line.starts_with("card") {
            desk.card("ward-7", "ward-7");
        } else if line.starts_with("consortium merge") {
            for (copy, signers) in [("from-anna", &["ward-1", "ward-8"][..]), ("from-ben", &["ward-5"])] {
                fs::copy(desk.path("consortium.toml"), desk.path(&format!("{copy}.toml"))).unwrap();
                for signer in signers {
                    desk.run(&format!("consortium sign {copy}.toml --home {signer}"));
                }
            }
            desk.run(line);
        } else if line.starts_with("run") {
            for name in founders {
                play.start(name, &line.replace("ward-7", name));
            }
        } else {
            return false;
        }
        true
    });

    played += play.section("When a round begins", |play, line| {
        if line.starts_with("withdraw") {
            let mut died = play.desk.command("submit counts.npy --home ward-7").spawn().unwrap();
            play.desk.until("the input waits", || play.status("ward-7")["input"]["state"] == "waiting");
            died.kill().unwrap();
            died.wait().unwrap();
            return false;
        }
        play.desk.submit(line, "ward-7", &["ward-1", "ward-5", "ward-8"]);
        true
    });
    assert!(play.desk.read("beds.npy") == Values::I64(vec![12, 4, 16]));

    // the newcomer's first command comes before the others can add it
    let newcomer = calls("consort", &section("Ten minutes: a new member"));
    play.reader = "ward-9";
    let init = play.line(&newcomer[0]);
    play.desk.run(&init);
    play.desk.card("ward-9", "ward-9");
    play.reader = "ward-7";

    played += play.section("Joining, leaving, other rules", |play, line| {
        // once it is adopted, the other operators read it and sign
        if line.starts_with("consortium adopt") {
            play.desk.run(line);
            play.reader = "ward-1";
            return true;
        }
        false
    });
    let proposal = fs::read_dir(play.desk.path("ward-8/proposals")).unwrap().next().unwrap().unwrap();
    let proposal = proposal.file_name().into_string().unwrap();
    play.desk.run(&format!("consortium sign ward-8/proposals/{proposal} --home ward-8"));
    play.desk.until("epoch 1 is in force", || play.epoch_is_in_force("ward-7", 1));
    let removed = play.daemons.iter().position(|(who, _)| *who == "ward-5").unwrap();
    assert_eq!(play.daemons.remove(removed).1.ended(), Some(1), "ward-5 is out");

    fs::copy(play.desk.path("ward-7/consortium.toml"), play.desk.path("consortium.toml")).unwrap();
    play.reader = "ward-9";
    played += play.section("Ten minutes: a new member", |play, line| {
        if line.starts_with("run") {
            play.start("ward-9", line);
        } else if line.starts_with("doctor") {
            play.desk.doctor(line);
        } else if line.starts_with("submit") {
            play.desk.submit(line, "ward-9", &["ward-1", "ward-7", "ward-8"]);
        } else {
            return line.starts_with("init");
        }
        true
    });
    assert!(play.desk.read("sum.npy") == Values::I64(vec![12, 4, 16]));

    play.reader = "ward-7";
    fs::remove_file(play.desk.path("next.toml")).unwrap();
    play.desk.init("ward-7-new");
    played += play.section("A lost or stolen identity", |_, _| false);

    // a node that is there already is moved
    play.daemons.retain(|(who, _)| *who != "ward-7");
    played += play.section("As a service", |play, line| {
        if line.starts_with("consortium sign") {
            fs::remove_dir_all(play.desk.path("service")).unwrap();
            fs::rename(play.desk.path("ward-7"), play.desk.path("service")).unwrap();
            fs::rename(play.desk.path("next.toml"), play.desk.path("service/next.toml")).unwrap();
        }
        false
    });
    assert!(play.desk.path(".local/share/man/man1/consort.1").exists());
    played += play.container();
    assert_eq!(played, calls("consort", &Page::read(PAGE)).len(), "a section is not played");
}
