//! Sealing of shares: ChaCha20-Poly1305 (RFC 8439) under a key of exactly one dealer, receiver and session.
//!
//! A direct stream protects shares already; sealed, they may also be carried by somebody else. The key is
//! HKDF-SHA256 over the Diffie-Hellman value of the two sealing keys, with the session as salt and dealer
//! and receiver in order as info, so each key seals one message and a constant nonce is safe.

use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, aead::Aead as _};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::ids::{MemberId, SessionId};

/// The secret half of a session's sealing key; erases itself on drop.
pub(crate) struct SealingKey(StaticSecret);

/// From whom to whom, in which session.
#[derive(Clone, Copy)]
pub(crate) struct Envelope {
    pub(crate) session: SessionId,
    pub(crate) dealer: MemberId,
    pub(crate) receiver: MemberId,
}

impl SealingKey {
    pub(crate) fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        Self(StaticSecret::random_from_rng(rng))
    }

    /// The same key once more, for an observer who knows what a corrupt node knows.
    #[cfg(feature = "sim")]
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// Ciphertext with its tag; `None` where the peer's key contributes nothing.
    pub(crate) fn seal(&self, peer: &[u8; 32], envelope: Envelope, plaintext: &[u8]) -> Option<Vec<u8>> {
        self.cipher(peer, envelope)?.encrypt(&Nonce::default(), plaintext).ok()
    }

    /// Plaintext; `None` where the ciphertext was not made for this envelope.
    pub(crate) fn open(
        &self,
        peer: &[u8; 32],
        envelope: Envelope,
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.cipher(peer, envelope)?.decrypt(&Nonce::default(), ciphertext).ok().map(Zeroizing::new)
    }

    fn cipher(&self, peer: &[u8; 32], envelope: Envelope) -> Option<ChaCha20Poly1305> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*peer));
        if !shared.was_contributory() {
            return None;
        }
        let mut key = Zeroizing::new([0u8; 32]);
        let info = [b"consort/v1/seal".as_slice(), &envelope.dealer.0, &envelope.receiver.0];
        Hkdf::<Sha256>::new(Some(&envelope.session.0), shared.as_bytes())
            .expand_multi_info(&info, key.as_mut_slice())
            .ok()?;
        Some(ChaCha20Poly1305::new(&(*key).into()))
    }
}
