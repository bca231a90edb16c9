//! Requests as any program makes them, byte by byte.

use std::path::Path;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use super::within;

/// Status and body of an answer.
pub(super) async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
    headers: &str,
    body: &[u8],
) -> (u16, String, String) {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // whoever has answered already reads no more
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) async fn unix(home: &Path, line: &str, body: &[u8]) -> (u16, String, String) {
    let stream = UnixStream::connect(home.join("api.sock")).await.unwrap();
    ask(stream, line, "", body).await
}

pub(super) async fn tcp(address: &str, line: &str, headers: &str) -> (u16, String, String) {
    ask(TcpStream::connect(address).await.unwrap(), line, headers, b"").await
}
