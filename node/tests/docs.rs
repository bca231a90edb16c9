//! The commands of `consort` that the documentation shows parse, those of the README run, and its settings are settings.

#[path = "../../testnet/tests/docs/commands.rs"]
mod commands;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
};

use commands::{calls, pages, root};
use consort_node::{config::Config, npy};
use consort_protocol::array::{Array, Values};

#[test]
fn every_command_parses() {
    let shown = calls("consort", &pages());
    assert!(!shown.is_empty(), "no command found");
    for command in shown {
        // help comes only once everything before it has been accepted
        let mut consort = Command::new(env!("CARGO_BIN_EXE_consort"));
        let output = consort.current_dir(root()).args(&command.arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{}\n{}", command.place, String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_block_of_settings_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let text: String = pages().iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    let fenced = text.split("```").skip(1).step_by(2);
    let shown: Vec<&str> = fenced.filter_map(|block| block.strip_prefix("toml\n")).collect();
    assert!(shown.iter().any(|block| block.contains("[limits]")), "{shown:?}");
    for block in shown {
        fs::write(&file, block).unwrap();
        Config::load(&file).unwrap_or_else(|error| panic!("{error} in\n{block}"));
    }
}

/// A folder in which commands run.
struct Desk(tempfile::TempDir);

impl Desk {
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn card(&self, home: &str, name: &str) {
        let card = self.run(&format!("card --home {home}")).stdout;
        fs::write(self.0.path().join(format!("{name}.card")), card).unwrap();
    }

    fn write(&self, name: &str, values: Values) {
        let array = Array::new(vec![values.len() as u64], values).unwrap();
        npy::write(&array, fs::File::create(self.0.path().join(name)).unwrap()).unwrap();
    }
}

/// A daemon, ended with its handle.
struct Daemon(Child);

impl Daemon {
    /// Starts it; gives where it listens, too.
    fn start(mut command: Command) -> (Self, String) {
        let mut daemon = Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(daemon.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let ready = lines.find(|line| line.starts_with("ready ")).expect("it gets ready");
        let address = ready.split(' ').next_back().unwrap().to_owned();
        // whoever does not read its log holds it up
        std::thread::spawn(move || lines.for_each(drop));
        (daemon, address)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine that nobody listens on.
fn free_address() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("/ip4/127.0.0.1/tcp/{port}")
}

/// Word for word, but for the address, which is none of this machine, the home, and the number of the round.
#[test]
fn the_commands_of_the_readme_run() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let others = ["ward-5", "ward-8"];
    for name in others {
        desk.run(&format!("init --home {name} --name {name} --listen {}", free_address()));
        desk.card(name, name);
    }
    desk.write("counts.npy", Values::I64(vec![3, 1, 4]));
    desk.write("update.npy", Values::F32(vec![0.5, -0.25]));
    let shown = calls("consort", &[root().join("README.md")]);
    let mut daemons = Vec::new();
    for command in &shown {
        let line = command.arguments.join(" ");
        let line = line.replace("/ip4/192.0.2.7/tcp/4040", &free_address());
        let line = line.replace("--verify 7", "--verify 0").replace("~/.consort", "node");
        match command.arguments[0].as_str() {
            "init" => {
                desk.run(&line);
                desk.card("node", "ward-7");
            }
            "run" => {
                for name in others {
                    desk.run(&format!("consortium sign consortium.toml --home {name}"));
                }
                let (first, address) = Daemon::start(desk.command(&line));
                daemons.push(first);
                for name in others {
                    let line = format!("run --home {name} --consortium consortium.toml --peer {address}");
                    daemons.push(Daemon::start(desk.command(&line)).0);
                }
            }
            "submit" => {
                let theirs = others.map(|name| {
                    let line = line.replace("--home node", &format!("--home {name}"));
                    desk.command(&line.replace("--out ", &format!("--out {name}-"))).spawn().unwrap()
                });
                desk.run(&line);
                assert!(theirs.into_iter().all(|mut submit| submit.wait().unwrap().success()), "{line}");
            }
            "doctor" => {
                let said = String::from_utf8(desk.command(&line).output().unwrap().stdout).unwrap();
                let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("WRONG")).collect();
                assert!(matches!(wrong[..], [only] if only.contains("loopback only")), "{said}");
            }
            _ => {
                desk.run(&line);
            }
        }
    }
    assert_eq!(daemons.len(), 3, "nothing was run");
    let sum = |name: &str| npy::read_file(&desk.0.path().join(name), 1 << 20).unwrap();
    assert!(*sum("sum.npy").values() == Values::I64(vec![9, 3, 12]));
    assert!(desk.0.path().join("mean.npy").exists());
}
