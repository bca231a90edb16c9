//! The README's consortium, and the pages about what is done with one that runs.

use consort_node::{consortium, exhibits::Exhibits, home::Home, identity::NodeIdentity};
use consort_protocol::{
    array::{Dtype, Values},
    contract::{Task, Terms, spec_for},
    encoding::Reduction,
    evidence::Evidence,
};

use super::{
    commands::{Page, calls},
    desk::{Daemon, Desk, free_address},
};

pub(crate) const PAGES: [&str; 4] = ["README.md", "docs/api.md", "docs/evidence.md", "docs/reachability.md"];

/// The home of the reader, which the pages call `~/.consort`.
const HOME: &str = "ward-7";
const OTHERS: [&str; 2] = ["ward-5", "ward-8"];

/// Word for word, but for the address, which is none of this machine, the home, and names that follow from keys.
#[test]
fn the_commands_of_the_readme_run() {
    let desk = Desk::default();
    for name in OTHERS {
        desk.init(name);
    }
    desk.write("counts.npy", Values::I64(vec![3, 1, 4]));
    desk.write("update.npy", Values::F32(vec![0.5, -0.25]));
    let mut daemons = Vec::new();
    for command in PAGES.iter().flat_map(|page| calls("consort", &Page::read(page))) {
        let line = command.arguments.join(" ");
        let line = line.replace("/ip4/192.0.2.7/tcp/4040", &free_address());
        let line = line.replace("--verify 7", "--verify 0").replace("rounds 7", "rounds 0");
        let line = line.replace("~/.consort", HOME);
        match command.arguments[0].as_str() {
            "init" => {
                desk.run(&line);
                desk.card(HOME, "ward-7");
            }
            "run" => {
                for name in OTHERS {
                    desk.run(&format!("consortium sign consortium.toml --home {name}"));
                }
                let (first, address) = Daemon::start(desk.command(&line));
                daemons.push(first);
                for name in OTHERS {
                    let line = format!("run --home {name} --consortium consortium.toml --peer {address}");
                    daemons.push(Daemon::start(desk.command(&line)).0);
                }
            }
            "submit" => desk.submit(&line, HOME, &OTHERS),
            "doctor" => desk.doctor(&line),
            "rounds" if line.contains(".evidence") => {
                let shown = line.split(' ').find(|word| word.ends_with(".evidence")).unwrap();
                let said = desk.run(&line.replace(shown, &evidence(&desk))).stdout;
                assert!(String::from_utf8(said).unwrap().contains("ward-5"), "{}", command.place);
            }
            _ => {
                desk.run(&line);
            }
        }
    }
    assert_eq!(daemons.len(), 3, "nothing was run");
    assert!(desk.read("sum.npy") == Values::I64(vec![9, 3, 12]));
    assert!(desk.path("mean.npy").exists() && desk.path("round-7.proof").exists());
}

/// A file that somebody has sent: ward-5 signed two contracts for one turn.
fn evidence(desk: &Desk) -> String {
    let manifest = consortium::load(&desk.path("consortium.toml")).unwrap().manifest().clone();
    let liar = NodeIdentity::load(&Home::at(&desk.path("ward-5")).identity()).unwrap();
    let terms = |round, length| {
        let spec = spec_for(&manifest, [(vec![length], Dtype::I64)], Reduction::Sum, None);
        let task = Task { label: None, query: [0; 32], spec };
        Terms::new(manifest.clone(), round, 0, 0, task).unwrap()
    };
    let round = (0..).find(|round| terms(*round, 2).aggregator() == liar.id()).unwrap();
    let signed = [2, 3].map(|length| terms(round, length).sign(&liar.signing()).unwrap());
    let proof = Evidence::early_conflict(&terms(round, 2), &signed[0], &signed[1]).unwrap();
    let kept = Exhibits::new(desk.path("mail")).keep(&proof.verify(&manifest).unwrap(), &proof).unwrap();
    kept.strip_prefix(desk.path("")).unwrap().display().to_string()
}
