//! Connections of the API: a few at once, each with limits on how long it may dawdle.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;

use crate::limits;

/// Pause after the operating system gave no connection, so that a lack of files does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where callers come from.
pub(super) enum Door {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A stream from any door.
trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl Door {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Places for connections, shared by all doors.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limits::MAX_API_CONNECTIONS))
}

/// Serves until it is dropped, and all connections with it.
pub(super) async fn serve(door: Door, router: Router, places: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match door.accept().await {
            Ok(stream) => {
                connections.spawn(connection(stream, router.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "no connection to the local API");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: Box<dyn Stream>, router: Router, _place: OwnedSemaphorePermit) {
    let mut stream = TimeoutStream::new(Box::into_pin(stream));
    // whoever does not read what it asked for is cut off
    stream.set_write_timeout(Some(limits::API_PATIENCE));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::API_PATIENCE)
        .max_buf_size(limits::API_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection to the local API ended early");
    }
}
