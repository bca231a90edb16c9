//! A folder in which the members of a consortium work, all on this machine.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use consort_node::npy;
use consort_protocol::array::{Array, Values};

/// A hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder in which commands run.
pub(crate) struct Desk(tempfile::TempDir);

impl Default for Desk {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Desk {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consort"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The doctor finds nothing wrong but that everything is on one machine.
    pub(crate) fn doctor(&self, line: &str) {
        let said = String::from_utf8(self.command(line).output().unwrap().stdout).unwrap();
        let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("WRONG")).collect();
        assert!(matches!(wrong[..], [only] if only.contains("loopback only")), "{said}");
    }

    /// Makes a home and its card.
    pub(crate) fn init(&self, home: &str) {
        self.run(&format!("init --home {home} --name {home} --listen {}", free_address()));
        self.card(home, home);
    }

    pub(crate) fn card(&self, home: &str, name: &str) {
        let card = self.run(&format!("card --home {home}")).stdout;
        fs::write(self.path(&format!("{name}.card")), card).unwrap();
    }

    pub(crate) fn write(&self, name: &str, values: Values) {
        let array = Array::new(vec![values.len() as u64], values).unwrap();
        npy::write(&array, fs::File::create(self.path(name)).unwrap()).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Values {
        npy::read_file(&self.path(name), 1 << 20).unwrap().values().clone()
    }

    /// A member hands in as the line says, and the others the same.
    pub(crate) fn submit(&self, line: &str, home: &str, others: &[&str]) {
        let theirs = others.iter().map(|name| {
            let line = line.replace(&format!("--home {home}"), &format!("--home {name}"));
            self.command(&line.replace("--out ", &format!("--out {name}-"))).spawn().unwrap()
        });
        let theirs: Vec<Child> = theirs.collect();
        self.run(line);
        assert!(theirs.into_iter().all(|mut submit| submit.wait().unwrap().success()), "{line}");
    }

    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited until {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A daemon, ended with its handle.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it; gives where it listens, too.
    pub(crate) fn start(mut command: Command) -> (Self, String) {
        let mut daemon = Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(daemon.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let ready = lines.find(|line| line.starts_with("ready ")).expect("it gets ready");
        let address = ready.split(' ').next_back().unwrap().to_owned();
        // whoever does not read its log holds it up
        std::thread::spawn(move || lines.for_each(drop));
        (daemon, address)
    }

    /// Waits for it to end by itself.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("/ip4/127.0.0.1/tcp/{port}")
}
