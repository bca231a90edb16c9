//! Signed statements: Ed25519 (RFC 8032) over a context of the statement's own and its canonical encoding.

use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{codec, hash, ids::MemberId};

/// What can be signed. The context keeps a signature on one kind of statement from ever passing for another.
pub trait Statement: Serialize + DeserializeOwned {
    /// Names the kind of statement, e.g. `"roster"`.
    const CONTEXT: &'static str;

    /// What a signature covers. A statement that holds secrets signs digests of them instead, so that it can
    /// be shown to others in part.
    ///
    /// # Errors
    /// Where the statement is too large to be a control message.
    fn signed_digest(&self) -> Result<hash::Digest, codec::CodecError> {
        Ok(hash::digest(Self::CONTEXT, &[&codec::encode(self)?]))
    }
}

/// A member's signing identity. It neither prints nor leaves the process; the key erases itself on drop.
pub struct Identity(SigningKey);

impl Identity {
    /// The identity with this Ed25519 secret key.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The public name of this identity.
    #[must_use]
    pub fn id(&self) -> MemberId {
        MemberId(self.0.verifying_key().to_bytes())
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature([u8; 32], [u8; 32]);

impl Signature {
    /// The 64 bytes of RFC 8032.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0u8; 64];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&self.1);
        bytes
    }

    /// From the 64 bytes of RFC 8032; whether it is a signature of anything shows when it is verified.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut left, mut right) = ([0u8; 32], [0u8; 32]);
        left.copy_from_slice(&bytes[..32]);
        right.copy_from_slice(&bytes[32..]);
        Self(left, right)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}…)", hex::encode(&self.0[..4]))
    }
}

/// The signature on a statement does not verify under its signer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature of {signer} on this {context} does not verify")]
pub struct BadSignature {
    /// Who is said to have signed.
    pub signer: MemberId,
    /// Kind of statement.
    pub context: &'static str,
}

/// A statement with its author's signature. Decoding one says nothing yet: call [`Signed::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T: Statement> {
    /// What is said.
    pub body: T,
    /// Who says it.
    pub signer: MemberId,
    signature: Signature,
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    ///
    /// # Errors
    /// Only where the statement is too large to be a control message.
    pub fn new(body: T, identity: &Identity) -> Result<Self, codec::CodecError> {
        let signature = sign_body(&body, identity)?;
        Ok(Self { body, signer: identity.id(), signature })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`BadSignature`] names the alleged signer.
    pub fn verify(&self) -> Result<(), BadSignature> {
        if verify_body(&self.body, &self.signer, &self.signature) {
            Ok(())
        } else {
            Err(BadSignature { signer: self.signer, context: T::CONTEXT })
        }
    }

    /// The bare signature.
    #[must_use]
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Puts a statement and a bare signature on it together again, unverified.
    #[must_use]
    pub fn from_parts(body: T, signer: MemberId, signature: Signature) -> Self {
        Self { body, signer, signature }
    }

    /// Names the statement: a hash of what is said and by whom. Two signatures of one author on the same
    /// words are the same statement.
    #[must_use]
    pub fn digest(&self) -> hash::Digest {
        let body = body_digest(&self.body).unwrap_or_default();
        hash::digest("signed", &[&body, &self.signer.0])
    }
}

/// Hash of a statement under its context: what the signature covers.
///
/// # Errors
/// Where the statement is too large to be a control message.
pub fn body_digest<T: Statement>(body: &T) -> Result<hash::Digest, codec::CodecError> {
    body.signed_digest()
}

/// Signs a statement and gives the bare signature, for statements that many sign.
///
/// # Errors
/// Only where the statement is too large to be a control message.
pub fn sign_body<T: Statement>(body: &T, identity: &Identity) -> Result<Signature, codec::CodecError> {
    Ok(sign_digest(identity, &body_digest(body)?))
}

/// Whether a bare signature of `signer` on this statement verifies.
#[must_use]
pub fn verify_body<T: Statement>(body: &T, signer: &MemberId, signature: &Signature) -> bool {
    body_digest(body).is_ok_and(|digest| verify_digest(signer, &digest, signature))
}

fn sign_digest(identity: &Identity, digest: &hash::Digest) -> Signature {
    Signature::from_bytes(&identity.0.sign(digest).to_bytes())
}

/// Whether a bare signature of `signer` on what this digest names verifies.
pub(crate) fn verify_digest(signer: &MemberId, digest: &hash::Digest, signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
    VerifyingKey::from_bytes(&signer.0).is_ok_and(|key| key.verify_strict(digest, &signature).is_ok())
}
