//! Names of members and sessions.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::Digest;

/// A member of the consortium: the bytes of its Ed25519 public key (RFC 8032).
///
/// libp2p peer ids are another spelling of the same key. The order of ids is the byte order of the
/// keys; in a pair the lower id adds the pairwise mask and the higher one subtracts it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub [u8; 32]);

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The first four bytes in hexadecimal, enough to tell members of one consortium apart in a log.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

/// `H(contract ‖ attempt ‖ roster)`: it enters every key derivation, signature and share of an
/// attempt, so that two rosters can never mix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Digest);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..8]))
    }
}
