//! The one door through which bytes become messages: bincode, bounded, exact, versioned.
//!
//! bincode's standard configuration (little-endian, variable-length integers) behind a version byte.
//! Decoding takes no more than [`MAX_CONTROL_BYTES`], refuses bytes that are left over, and whatever
//! lengths they declare never allocates more than that either.

use serde::{Serialize, de::DeserializeOwned};

/// A control message is never larger: a roster of all members fits, vectors never do.
pub const MAX_CONTROL_BYTES: usize = 1 << 20;

/// First byte of every encoded message.
pub const VERSION: u8 = 1;

/// Why bytes were not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than a control message may be.
    #[error("{found} bytes, but a control message has at most {MAX_CONTROL_BYTES}")]
    TooLarge {
        /// Length found.
        found: usize,
    },
    /// Written by another version of the protocol.
    #[error("wire version {found}, expected {VERSION}")]
    Version {
        /// Version byte found.
        found: u8,
    },
    /// Not a canonical encoding of the expected type.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Bytes left over.
    #[error("{0} bytes left over after the message")]
    Trailing(usize),
}

type Config = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_CONTROL_BYTES>,
>;

fn config() -> Config {
    bincode::config::standard().with_limit::<MAX_CONTROL_BYTES>()
}

/// Encodes a message with its version byte.
///
/// # Errors
/// [`CodecError::TooLarge`] or [`CodecError::Malformed`] where the value cannot be a control message.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, config())
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if bytes.len() > MAX_CONTROL_BYTES {
        return Err(CodecError::TooLarge { found: bytes.len() });
    }
    Ok(bytes)
}

/// Decodes a message that [`encode`] wrote.
///
/// # Errors
/// [`CodecError`] names what was found: too large, another version, malformed, or bytes left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_CONTROL_BYTES {
        return Err(CodecError::TooLarge { found: bytes.len() });
    }
    let (&version, body) = bytes.split_first().ok_or(CodecError::Malformed("empty message".into()))?;
    if version != VERSION {
        return Err(CodecError::Version { found: version });
    }
    let (value, used) = bincode::serde::decode_from_slice(body, config())
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if used != body.len() {
        return Err(CodecError::Trailing(body.len() - used));
    }
    Ok(value)
}
