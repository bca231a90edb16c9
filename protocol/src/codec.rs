//! The one door through which bytes become messages: bincode, bounded, exact, versioned.
//!
//! bincode's standard configuration (little-endian, variable-length integers) behind a version byte.
//! Decoding takes no more than [`MAX_CONTROL_BYTES`] and refuses bytes that are left over.
//!
//! What it allocates is bounded by the bytes that are there, not by what they announce: lists are read through
//! [`at_most`], which refuses a long one unread and takes room for elements as they come. One text may be announced
//! and not come; its length is at most [`MAX_CONTROL_BYTES`].

use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};

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

/// Reads a list of no more than `LIMIT` elements: for `#[serde(deserialize_with)]` on every list that a peer
/// sends. No room is taken for elements that are announced and have not come.
///
/// # Errors
/// Those of the decoder, and one for a list that is longer or announces that it is.
pub fn at_most<'de, const LIMIT: usize, T, D>(decoder: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    decoder.deserialize_seq(AtMost::<LIMIT, T>(PhantomData))
}

struct AtMost<const LIMIT: usize, T>(PhantomData<T>);

impl<'de, const LIMIT: usize, T: Deserialize<'de>> Visitor<'de> for AtMost<LIMIT, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {LIMIT} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let announced = elements.size_hint().unwrap_or(0);
        if announced > LIMIT {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == LIMIT {
                return Err(A::Error::invalid_length(list.len() + 1, &self));
            }
            list.push(element);
        }
        Ok(list)
    }
}
