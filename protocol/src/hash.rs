//! One hash for everything that is named or signed: SHA-256, each use with a context of its own.

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// SHA-256 over `"consort/v1/" ‖ context ‖ 0x00 ‖ parts…`.
///
/// Parts are simply concatenated: callers hash either fixed-size parts or one canonical encoding
/// (see [`crate::codec`]), so no two inputs can run together.
#[must_use]
pub fn digest(context: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"consort/v1/");
    hasher.update(context.as_bytes());
    hasher.update([0u8]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
