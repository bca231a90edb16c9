//! What fuzzers run on what peers send and on files: one function a target, which takes any bytes and panics where a
//! promise is broken.
//!
//! The targets of `fuzz/` and the tests in `tests/fuzzed.rs` call the same functions; see `docs/fuzzing.md`.

use std::{io::Write as _, path::Path};

use tempfile::NamedTempFile;
use tokio::runtime::{Builder, Runtime};

use crate::{config::Config, consortium, npy};

pub use crate::{
    network::fuzzing::{frame, gossip},
    round::fuzzing::bulk,
};

/// Elements of an array that is read, in bytes.
const MAX_ARRAY_BYTES: u64 = 1 << 16;

/// A `.npy` file, of known and of unknown length.
///
/// # Panics
/// Where it depends on how an array is read whether it passes, or it is another one once written.
pub fn npy(bytes: &[u8]) {
    let known = npy::read(bytes, Some(bytes.len() as u64), MAX_ARRAY_BYTES);
    let unknown = npy::read(bytes, None, MAX_ARRAY_BYTES);
    assert_eq!(known.is_ok(), unknown.is_ok(), "it depends on whether the length is known");
    let Ok(array) = known else { return };
    let written = |array| {
        let mut written = Vec::new();
        npy::write(array, &mut written).expect("memory can be written");
        written
    };
    let text = written(&array);
    let again = npy::read(text.as_slice(), None, MAX_ARRAY_BYTES).expect("what was written can be read");
    assert_eq!(again.shape(), array.shape());
    // NaN differs from itself, its bytes do not
    assert!(written(&again) == text, "an array that changes when it is written");
}

/// A `config.toml`.
///
/// # Panics
/// Where one passes that cannot be written and read again.
pub fn config(bytes: &[u8]) {
    let Ok(config) = from_file(bytes, Config::load) else { return };
    let text = toml::to_string(&config).expect("a configuration can be written");
    let again = from_file(text.as_bytes(), Config::load).expect("what was written can be read");
    assert_eq!(again, config);
}

/// A `consortium.toml`.
///
/// # Panics
/// Where a manifest passes that nobody has signed.
pub fn consortium(bytes: &[u8]) {
    let Some(first) = from_file(bytes, consortium::load).ok().and_then(|chain| chain.signed(0)) else {
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    let signatures = text.split(['"', '\'']).filter(|part| part.len() == 2 * 64).count();
    assert!(first.body.members.len() <= signatures, "a founder has not signed");
}

fn from_file<T>(bytes: &[u8], load: impl FnOnce(&Path) -> T) -> T {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a file that can be written");
    load(file.path())
}

/// Runs what reads a stream of bytes. Nothing may wait for more than the stream has.
pub(crate) fn run<T>(reading: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(reading))
}
