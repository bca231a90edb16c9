//! The local API: HTTP/1.1 on `api.sock` in the home, for whoever may use that file, and on 127.0.0.1 where the
//! settings ask for it, for whoever shows the token. docs/api.md has every route.
//!
//! ```text
//!   POST /v1/inputs ─► inputs (on disk) ─► Handle ─► the driver's queue
//!   GET  …          ─► desk, ledger, results, a snapshot of the driver
//! ```
//!
//! Callers are programs of the node's owner, but they may hang, lie about lengths or send anything: connections,
//! bodies and waiting are bounded ([`crate::limits`]), and what takes long runs on threads for that.

mod access;
mod events;
mod inputs;
mod metrics;
mod problem;
mod rounds;
mod server;
pub mod socket;
mod status;

use std::{io, net::Ipv4Addr, path::PathBuf, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use consort_protocol::manifest::Manifest;
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinSet,
};

use crate::{
    handle::Handle,
    home::Home,
    inputs::{Store, desk::Desk},
    limits,
};

use access::Token;
pub use events::Feed;
use problem::Problem;

/// Why the local API is not there.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A file or folder of the home cannot be used.
    #[error("{}: {source}", path.display())]
    Home {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The port cannot be listened on.
    #[error("cannot listen on 127.0.0.1:{port} for the local API: {source}")]
    Port {
        /// `api_port` of config.toml.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The running API of a node. It must be stopped before the node is.
pub struct Api {
    tasks: JoinSet<()>,
    socket: PathBuf,
    addresses: Vec<String>,
}

/// What every route has at hand.
struct Shared {
    handle: Handle,
    desk: Arc<Desk>,
    feed: Arc<Feed>,
}

impl Shared {
    fn manifest(&self) -> Arc<Manifest> {
        self.handle.consortium().manifest().clone()
    }

    /// The largest body: every element of the largest vector in its widest type, and headers.
    fn largest_body(&self) -> u64 {
        let elements = self.manifest().policy().max_vector.min(self.handle.limits.borrow().max_elements());
        elements.saturating_mul(8).saturating_add(limits::API_HEADER_BYTES)
    }
}

impl Api {
    /// Serves the API of a running node, and hands in the input that waited when its last process ended.
    ///
    /// # Errors
    /// [`ApiError`] names the file or port that cannot be used.
    pub async fn start(
        home: &Home,
        port: Option<u16>,
        handle: Handle,
        feed: Arc<Feed>,
    ) -> Result<Self, ApiError> {
        let at = |path: PathBuf| move |source| ApiError::Home { path, source };
        let desk = Store::open(home.inputs()).and_then(Desk::open).map_err(at(home.inputs()))?;
        let shared = Arc::new(Shared { handle, desk: Arc::new(desk), feed });
        inputs::resume(&shared).await.map_err(at(home.inputs()))?;

        let socket = home.api_socket();
        let listener = socket::bind(home).map_err(at(socket.clone()))?;
        let listener = UnixListener::from_std(listener).map_err(at(socket.clone()))?;
        let mut addresses = vec![socket.display().to_string()];
        let router = routes(shared);
        let places = server::places();
        let mut tasks = JoinSet::new();
        if let Some(port) = port {
            let fail = |source| ApiError::Port { port, source };
            let token = Token::load_or_create(&home.api_token()).map_err(at(home.api_token()))?;
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(fail)?;
            addresses.push(format!("http://{}", tcp.local_addr().map_err(fail)?));
            let asked = middleware::from_fn_with_state(Arc::new(token), access::check);
            let guarded = router.clone().layer(asked);
            tasks.spawn(server::serve(server::Door::Tcp(tcp), guarded, places.clone()));
        }
        tasks.spawn(server::serve(server::Door::Unix(listener), router, places));
        Ok(Self { tasks, socket, addresses })
    }

    /// Where it is: the path of the socket, then `http://127.0.0.1:PORT` where it listens there too.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Ends all connections. Inputs that wait stay on disk.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/inputs", post(inputs::hand_in))
        .route("/v1/inputs/{id}", get(inputs::look_up).delete(inputs::withdraw))
        .route("/v1/rounds", get(rounds::list))
        .route("/v1/rounds/{round}", get(rounds::show))
        .route("/v1/rounds/{round}/proof", get(rounds::proof))
        .route("/v1/rounds/{round}/aggregate", get(rounds::aggregate))
        .route("/v1/status", get(status::status))
        .route("/v1/peers", get(status::peers))
        .route("/v1/events", get(events::events))
        .route("/metrics", get(metrics::metrics))
        .fallback(|| async { Problem::not_found("there is no such route: docs/api.md has them all") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .with_state(shared)
}
