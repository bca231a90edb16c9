//! What the system around a daemon gets of it: readiness for systemd, man pages, completions.

use std::{fs, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use super::{
    consortium::{Consortium, within},
    process::{consort, run},
};

#[tokio::test]
async fn systemd_hears_when_it_is_ready_reloads_and_stops() {
    let consortium = Consortium::found(3);
    let socket = consortium.path("notify.sock");
    let listener = UnixDatagram::bind(&socket).unwrap();
    let mut command = run(&consortium.home(0), &consortium.file());
    command.env("NOTIFY_SOCKET", &socket).stderr(Stdio::null());
    let mut daemon = command.spawn().unwrap();
    let mut said = [0; 256];
    let length = within(listener.recv(&mut said)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said[..length]).trim(), "READY=1");
    // what it is ready for: the local API answers
    let status = within(consort().args(["status", "--home"]).arg(consortium.home(0)).output()).await.unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let id = Pid::from_raw(daemon.id().unwrap() as i32);
    kill(id, Signal::SIGHUP).unwrap();
    let length = within(listener.recv(&mut said)).await.unwrap();
    let reloading = String::from_utf8_lossy(&said[..length]).into_owned();
    assert!(reloading.contains("RELOADING=1\n") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let length = within(listener.recv(&mut said)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said[..length]).trim(), "READY=1");
    kill(id, Signal::SIGTERM).unwrap();
    let length = within(listener.recv(&mut said)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said[..length]).trim(), "STOPPING=1");
    assert_eq!(within(daemon.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn man_pages_and_completions_know_every_command() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    let written = within(consort().arg("man").arg(&pages).output()).await.unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    for page in ["consort.1", "consort-submit.1", "consort-consortium-create.1"] {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains("Examples"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let printed = within(consort().args(["completions", shell]).output()).await.unwrap();
        let script = String::from_utf8(printed.stdout).unwrap();
        assert!(script.contains("submit") && script.contains("timeout"), "{shell}: {script}");
    }
    let refused = within(consort().args(["completions", "cobol"]).output()).await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
