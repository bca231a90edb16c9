//! The command line's side of the local API.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use consort_node::api::socket::Reachable;
use futures::{Stream, stream};
use http_body_util::{BodyExt as _, Either, Empty, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{fs::File, io::AsyncReadExt as _, net::UnixStream};

use super::{Failure, is_home, println};

/// A file is sent in pieces of so many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// An answer that is not an array is never longer.
const LONGEST_ANSWER: usize = 64 << 20;

/// What a command takes that shows how things are.
#[derive(clap::Args)]
pub(super) struct Look {
    /// The home of the running daemon
    #[arg(long, value_name = "DIR")]
    pub(super) home: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl Look {
    /// Prints what the daemon answers: as it is, or in these lines.
    pub(super) fn show(&self, path: &str, lines: impl FnOnce(&Value) -> Vec<String>) -> Result<(), Failure> {
        let answer: Value = block_on(async { Ok(Client::new(&self.home).get(path).await?) })?;
        let lines = if self.json { vec![answer.to_string()] } else { lines(&answer) };
        lines.iter().for_each(|line| println(line));
        Ok(())
    }
}

/// A daemon that says nothing for so long stands still: answers that are more than a file are made at once.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// Asks the daemon that runs on a home.
pub(super) struct Client {
    home: PathBuf,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// No daemon runs, or not for this user.
    NotRunning(PathBuf),
    /// The daemon refuses, with its status and words.
    Refused(StatusCode, String),
    /// The connection failed.
    Broken(String),
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotRunning(home) => match is_home(&home) {
                Err(failure) => failure,
                Ok(()) => {
                    Self::Failed(format!("no daemon runs on {}: start it with `consort run`", home.display()))
                }
            },
            Unanswered::Refused(status, words) => match status {
                StatusCode::BAD_REQUEST
                | StatusCode::UNPROCESSABLE_ENTITY
                | StatusCode::PAYLOAD_TOO_LARGE => Self::Unusable(words),
                _ => Self::Failed(words),
            },
            Unanswered::Broken(words) => Self::Failed(format!("the daemon does not answer: {words}")),
        }
    }
}

type Body = Either<Empty<Bytes>, StreamBody<Pieces>>;
type Pieces = std::pin::Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>;

impl Client {
    pub(super) fn new(home: &Path) -> Self {
        Self { home: home.into() }
    }

    /// The JSON of an answer.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unanswered> {
        self.json(Method::GET, path).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unanswered> {
        self.json(Method::DELETE, path).await
    }

    /// The bytes of an answer that is small.
    pub(super) async fn bytes(&self, path: &str) -> Result<Vec<u8>, Unanswered> {
        read(self.ask(Method::GET, path, Either::Left(Empty::new()), None).await?).await
    }

    /// Sends a file; the JSON of the answer.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, file: File) -> Result<T, Unanswered> {
        let length = file.metadata().await.map_err(broken)?.len();
        let body = Either::Right(StreamBody::new(Box::pin(pieces(file)) as Pieces));
        parse(&read(self.ask(Method::POST, path, body, Some(length)).await?).await?)
    }

    /// Writes an answer to a file, whole or not at all.
    pub(super) async fn download(&self, path: &str, to: &Path) -> Result<(), Unanswered> {
        let mut answer = self.ask(Method::GET, path, Either::Left(Empty::new()), None).await?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let at = |error: io::Error| Unanswered::Broken(format!("{}: {error}", to.display()));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at)?;
        while let Some(frame) = answer.frame().await {
            if let Ok(piece) = frame.map_err(broken)?.into_data() {
                file.write_all(&piece).map_err(at)?;
            }
        }
        file.as_file().sync_all().map_err(at)?;
        file.persist(to).map_err(|error| at(error.error))?;
        Ok(())
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Unanswered> {
        let answer = async {
            let body = Either::Left(Empty::new());
            parse(&read(self.ask(method, path, body, None).await?).await?)
        };
        let silent = || Unanswered::Broken(format!("no answer in {} s", ANSWER.as_secs()));
        tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| Err(silent()))
    }

    /// The body of a good answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
        length: Option<u64>,
    ) -> Result<Incoming, Unanswered> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if let Some(length) = length {
            request = request
                .header(header::CONTENT_LENGTH, length)
                .header(header::CONTENT_TYPE, "application/x-npy");
        }
        let request = request.body(body).map_err(broken)?;
        let answer: Response<Incoming> = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let problem: Value = parse(&read(answer.into_body()).await?)?;
        let words = problem.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
        Err(Unanswered::Refused(status, words.to_owned()))
    }

    async fn connect(&self) -> Result<UnixStream, Unanswered> {
        let socket = self.home.join("api.sock");
        let connected = match Reachable::new(&socket) {
            Ok(reachable) => UnixStream::connect(reachable.path()).await,
            Err(error) => Err(error),
        };
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::PermissionDenied => {
                Unanswered::NotRunning(self.home.clone())
            }
            _ => Unanswered::Broken(format!("{}: {error}", socket.display())),
        })
    }
}

/// Runs a command's questions.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(error.to_string()))?.block_on(work)
}

fn pieces(file: File) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
    stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await?;
        Ok((!piece.is_empty()).then(|| (Frame::data(Bytes::from(piece)), file)))
    })
}

async fn read(body: Incoming) -> Result<Vec<u8>, Unanswered> {
    let limited = http_body_util::Limited::new(body, LONGEST_ANSWER);
    let read = limited.collect().await.map_err(broken)?;
    Ok(read.to_bytes().to_vec())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unanswered> {
    serde_json::from_slice(bytes).map_err(broken)
}

fn broken(error: impl ToString) -> Unanswered {
    Unanswered::Broken(error.to_string())
}
