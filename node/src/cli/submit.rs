//! `consort submit`: an input, and the aggregate that comes of it.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use consort_node::summary::RoundSummary;
use hyper::StatusCode;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    time::{Instant, timeout},
};

use super::{
    Failure,
    client::{ANSWER, Client, Unanswered, block_on},
    interrupt::Interrupt,
    println,
};

/// How often the daemon is asked how far the input is.
const POLL: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort submit counts.npy --home ~/.consort --out sum.npy\n      the exact sum of everybody's integers, or of floats within a bound\n  consort submit update.npy --home ~/.consort --weight 1200 --query model.npy --out mean.npy\n      a training update as a weighted mean; all must have begun with the same model\n  consort submit census.npy --home ~/.consort --label ward-7\n      the same data as every month, said so\n\nAn interrupted (SIGINT, SIGTERM, SIGHUP) or timed-out wait takes the input back. Where its masked vector may have left already, it waits for the round instead; a second interrupt ends that. `consort withdraw` takes back what nobody waits for any more."
)]
pub(super) struct Arguments {
    /// The input: an array that numpy.save has written
    #[arg(value_name = "FILE.npy")]
    file: PathBuf,
    /// The home of the running daemon
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The result is the mean of all inputs by their weights; this is mine
    #[arg(long, value_name = "W", conflicts_with = "mean")]
    weight: Option<u64>,
    /// The result is the mean, not the sum
    #[arg(long)]
    mean: bool,
    /// Says that inputs with this label are the same data again: this node votes for no two sums of it that differ by a few members
    #[arg(long, value_name = "L")]
    label: Option<String>,
    /// The model or question that the input answers: a file, or its SHA-256 in hexadecimal
    #[arg(long, value_name = "FILE|HEX")]
    query: Option<String>,
    /// Floats lie within this of 0, instead of within the policy's clip
    #[arg(long, value_name = "C")]
    clip: Option<f64>,
    /// Write the aggregate to this file
    #[arg(long, value_name = "AGG.npy")]
    out: Option<PathBuf>,
    /// Take the input back if no round has taken it after so many seconds
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unusable = |path: &Path, error: io::Error| Failure::Unusable(format!("{}: {error}", path.display()));
    if let Some(folder) = arguments.out.as_deref().and_then(Path::parent)
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        return Err(Failure::Unusable(format!("--out: {} is no folder", folder.display())));
    }
    let query = arguments.query.as_deref().map(query).transpose()?;
    block_on(async {
        let file = File::open(&arguments.file).await.map_err(|error| unusable(&arguments.file, error))?;
        if file.metadata().await.is_ok_and(|metadata| metadata.is_dir()) {
            return Err(unusable(&arguments.file, io::ErrorKind::IsADirectory.into()));
        }
        let client = Client::new(&arguments.home);
        // before the input is out of hand: an interrupt while it is handed in takes it back, too
        let mut interrupt = Interrupt::new().map_err(|error| Failure::Failed(error.to_string()))?;
        let path = path(arguments, query.as_deref());
        let mut post = pin!(client.post::<Value>(&path, file));
        let mut interrupted = false;
        let handed_in = tokio::select! {
            handed_in = &mut post => handed_in,
            () = interrupt.recv() => {
                interrupted = true;
                let silent = "interrupted, but the daemon does not answer; `consort status` says whether the input waits";
                timeout(ANSWER, post).await.map_err(|_| Failure::Interrupted(silent.into()))?
            }
        };
        let handed_in = handed_in.map_err(|refused| match Failure::from(refused) {
            Failure::Unusable(words) => Failure::Unusable(format!("{}: {words}", arguments.file.display())),
            other => other,
        })?;
        let id = handed_in.get("input_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let patience = arguments.timeout.map(Duration::from_secs);
        let ended = await_end(&client, &id, patience, (&mut interrupt, interrupted)).await?;
        finish(arguments, &client, &id, &ended).await
    })
}

/// The SHA-256 that names a query.
fn query(text: &str) -> Result<String, Failure> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    sha256(Path::new(text)).map_err(|error| {
        Failure::Unusable(format!("--query {text}: neither 64 hexadecimal digits nor a file: {error}"))
    })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

fn path(arguments: &Arguments, query: Option<&str>) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    let weight = arguments.weight.map(|weight| weight.to_string());
    let clip = arguments.clip.map(|clip| clip.to_string());
    let given = [
        ("weight", weight.as_deref()),
        ("mean", arguments.mean.then_some("true")),
        ("label", arguments.label.as_deref()),
        ("query", query),
        ("clip", clip.as_deref()),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            pairs.append_pair(key, value);
        }
    }
    format!("/v1/inputs?{}", pairs.finish())
}

/// Waits until the input is aggregated or has failed.
async fn await_end(
    client: &Client,
    id: &str,
    patience: Option<Duration>,
    (interrupt, mut interrupted): (&mut Interrupt, bool),
) -> Result<Value, Failure> {
    let path = format!("/v1/inputs/{id}");
    let deadline = patience.map(|patience| Instant::now() + patience);
    let mut progress = Progress::new();
    loop {
        let state: Value = client.get(&path).await.map_err(|unanswered| match unanswered {
            // but not the last words of one that stops
            Unanswered::Refused(status, _) if status != StatusCode::SERVICE_UNAVAILABLE => unanswered.into(),
            _ => Failure::Failed(format!(
                "the daemon stopped or does not answer; input {id} is on disk and goes on waiting when it runs again, unless a round had it"
            )),
        })?;
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match state.get("state").and_then(Value::as_str) {
            Some("waiting") if interrupted || late => {
                progress.end();
                if let Some(ended) = take_back(client, &path).await? {
                    let (seconds, words) = (patience.unwrap_or_default().as_secs(), waiting(&state));
                    return taken_back(ended, interrupted, || {
                        format!("no round took the input within {seconds} s, so it was taken back ({words})")
                    });
                }
            }
            Some("waiting") => progress.show(&waiting(&state)),
            Some("in-round") => progress.show(&in_round(&state)),
            _ => {
                progress.end();
                return Ok(state);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = interrupt.recv() => {
                progress.end();
                let failed = |words| Err(Failure::Interrupted(words));
                if interrupted {
                    return failed(format!("interrupted twice; input {id} is in a round and ends with it"));
                }
                interrupted = true;
                match take_back(client, &path).await {
                    Ok(Some(ended)) => return taken_back(ended, interrupted, String::new),
                    Ok(None) => eprintln!(
                        "interrupted, but the input is in a round and may have left: waiting for the result; interrupt again to leave"
                    ),
                    Err(Unanswered::Refused(_, words)) => return failed(format!("interrupted, but {words}")),
                    Err(_) => {
                        return failed(format!(
                            "interrupted, but the daemon does not answer; input {id} may still wait"
                        ));
                    }
                }
            }
        }
    }
}

/// A round may have used the input at the last moment.
fn taken_back(ended: Value, interrupted: bool, late: impl FnOnce() -> String) -> Result<Value, Failure> {
    match (is_aggregated(&ended), interrupted) {
        (true, _) => Ok(ended),
        (false, true) => Err(Failure::Interrupted("interrupted; the input was taken back".into())),
        (false, false) => Err(Failure::Failed(late())),
    }
}

/// What became of an input that is taken back; nothing where a round has it, so that it ends with the round.
async fn take_back(client: &Client, path: &str) -> Result<Option<Value>, Unanswered> {
    match client.delete(path).await {
        Err(Unanswered::Refused(StatusCode::CONFLICT, _)) => Ok(None),
        answer => answer.map(Some),
    }
}

fn is_aggregated(state: &Value) -> bool {
    state.get("state").and_then(Value::as_str) == Some("aggregated")
}

fn waiting(state: &Value) -> String {
    let number = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut words = format!(
        "waiting for round {}: {} of at least {} members have an input for it",
        number("round"),
        number("ready"),
        number("needed")
    );
    words.extend(super::status::others(state).map(|other| format!("; {other}")));
    words
}

fn in_round(state: &Value) -> String {
    let round = state.get("round").and_then(Value::as_u64).unwrap_or_default();
    let phase = state.pointer("/running/phase").and_then(Value::as_str).unwrap_or("starting");
    format!("in round {round}: {phase}")
}

async fn finish(arguments: &Arguments, client: &Client, id: &str, ended: &Value) -> Result<(), Failure> {
    let text = |key: &str| ended.get(key).and_then(Value::as_str).map(str::to_owned);
    if !is_aggregated(ended) {
        let reason = text("reason").unwrap_or_else(|| "no reason given".into());
        return Err(Failure::Failed(format!("no aggregate: {reason}")));
    }
    let round = ended.get("round").and_then(Value::as_u64).unwrap_or_default();
    let summary: RoundSummary = client.get(&format!("/v1/rounds/{round}")).await?;
    if let Some(out) = &arguments.out {
        client.download(&format!("/v1/rounds/{round}/aggregate"), out).await?;
    }
    let included = ended.get("included").and_then(Value::as_bool).unwrap_or(true);
    if let Some(reason) = text("reason").filter(|_| !included) {
        eprintln!("warning: this input is not in the sum: {reason}");
    }
    if arguments.json {
        let said = serde_json::json!({
            "input_id": id, "round": round, "included": included, "survivors": summary.survivors,
            "dropped": summary.dropped, "aggregate": arguments.out,
        });
        println(&said.to_string());
        return Ok(());
    }
    let what = summary.task.as_ref().map_or("aggregate", |task| task.reduction.as_str());
    let (survivors, roster) = (summary.survivors.len(), summary.roster.len());
    let place = match &arguments.out {
        Some(out) => format!("written to {}", out.display()),
        None => format!(
            "kept by the daemon: consort rounds {round} --home {} --out FILE.npy",
            arguments.home.display()
        ),
    };
    println(&format!("round {round}: {what} of {survivors} of {roster} members, {place}"));
    Ok(())
}

/// One line that is written over, on a terminal only.
struct Progress {
    shown: Option<String>,
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal().then(String::new) }
    }

    fn show(&mut self, line: &str) {
        if let Some(shown) = &mut self.shown
            && shown != line
        {
            eprint!("\r\x1b[K{line}");
            let _ = io::stderr().flush();
            *shown = line.to_owned();
        }
    }

    fn end(&mut self) {
        if let Some(shown) = self.shown.as_mut().filter(|shown| !shown.is_empty()) {
            eprint!("\r\x1b[K");
            shown.clear();
        }
    }
}
