//! SIGHUP: settings and manifest are read again.

use std::fs;

use consort_protocol::array::Values;
use nix::sys::signal::Signal;

use super::{
    api::{command, failure, write},
    consortium::Consortium,
    founding::Office,
    process::Daemon,
};

#[tokio::test]
async fn limits_change_at_once_and_the_rest_is_named() {
    let consortium = Consortium::found(3);
    let home = consortium.home(0);
    let mut daemon = Daemon::start(&home, &consortium.file(), &[]).await;
    let config = home.join("config.toml");
    let listen = fs::read_to_string(&config).unwrap();

    fs::write(&config, format!("{listen}api_port = 1\n[limits]\nmemory_mib = 1\nuploads = 7\n")).unwrap();
    daemon.signal(Signal::SIGHUP);
    let fixed = daemon.logs("changed in config.toml, and in force after a restart").await;
    assert_eq!((&fixed["settings"], &fixed["level"]), (&"api_port".into(), &"WARN".into()));
    let said = daemon.logs("config.toml reloaded").await;
    assert_eq!((&said["memory_mib"], &said["uploads"]), (&1.into(), &7.into()), "{said}");
    daemon.logs("the manifest says nothing new").await;
    // 65,537 elements take more than 1 MiB with their aggregate, and so does their header alone
    let input = consortium.path("input.npy");
    write(&input, Values::I64(vec![1; 65_537]));
    let (code, said) = failure(command("submit", &home).arg(&input)).await;
    assert!(code == Some(2) && said.contains("limits.memory_mib"), "{said}");

    // a mistake changes nothing
    fs::write(&config, format!("{listen}[limits]\nmemory_mib = 3000\nuplaods = 1\n")).unwrap();
    daemon.signal(Signal::SIGHUP);
    let refused =
        daemon.logs("config.toml not reloaded: the node goes on with the settings that it has").await;
    assert!(refused["error"].as_str().unwrap().contains("uplaods"), "{refused}");
    // nor does a file that is gone
    fs::remove_file(&config).unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.logs("there is no config.toml: the node goes on with the settings that it has").await;
    let (code, said) = failure(command("submit", &home).arg(&input)).await;
    assert!(code == Some(2) && said.contains("limits.memory_mib"), "{said}");
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn the_next_epoch_is_taken_from_the_file() {
    let office = Office::new();
    office.found(&["a", "b", "c"]).await;
    let file = office.path("consortium.toml");
    let mut daemon = Daemon::start(&office.path("a"), &file, &[]).await;
    office.run("consortium set consortium.toml gather=2s --out next.toml").await;
    for home in ["a", "b", "c"] {
        office.run(&format!("consortium sign next.toml --home {home}")).await;
    }
    fs::copy(office.path("next.toml"), &file).unwrap();
    daemon.signal(Signal::SIGHUP);
    assert_eq!(daemon.logs("a new epoch is in force").await["epoch"], 1);
    // half a file is refused, and the daemon goes on
    fs::write(&file, "name = \"wards\"\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    let refused = daemon.logs("manifest not reloaded").await;
    assert!(refused["error"].as_str().unwrap().contains("consortium.toml"), "{refused}");
    assert_eq!(daemon.end(Signal::SIGTERM).await, Some(0));
}
