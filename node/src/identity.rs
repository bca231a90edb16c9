//! Who this node is: one Ed25519 secret, spelled as a signing identity of the protocol and as a libp2p
//! key pair, and the file that keeps it.
//!
//! `identity.key` holds the 32 secret bytes in hexadecimal and a newline. On Unix it is created 0600
//! and refused if its group or the world may read it.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use consort_protocol::{ids::MemberId, signing};
use libp2p::{PeerId, identity as libp2p_identity};
use rand::TryRng as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::files;

/// Hexadecimal digits of a secret key.
const KEY_DIGITS: usize = 64;

/// Why an identity could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system gave no random bytes.
    #[error("the operating system's random number generator failed: {0}")]
    Random(String),
    /// There is no such file.
    #[error(
        "{} is not there, so its folder is no node's home: name the node's, or make one with `consort init`",
        path.display()
    )]
    None {
        /// Where.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others may read the key.
    #[error(
        "{}: mode {mode:04o} lets others read the secret key, expected 0600: run `chmod 600` on it, or make a new identity if somebody may have read it",
        path.display()
    )]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Permission bits found.
        mode: u32,
    },
    /// The file is not a key.
    #[error("{}: expected {KEY_DIGITS} hexadecimal digits and a newline, found something else", path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
    },
}

/// A peer id that is not an Ed25519 key, so no member can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("peer id {0} is not an ed25519 key, as every member's is")]
pub struct NotAMemberId(pub PeerId);

/// The secret key of a node. It neither prints nor leaves this module except as one of its two
/// spellings, and erases itself on drop.
pub struct NodeIdentity {
    secret: Zeroizing<[u8; 32]>,
}

impl NodeIdentity {
    /// A new identity from the operating system's random number generator.
    ///
    /// # Errors
    /// [`IdentityError::Random`] where that fails.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut secret = Zeroizing::new([0u8; 32]);
        rand::rngs::SysRng
            .try_fill_bytes(secret.as_mut_slice())
            .map_err(|error| IdentityError::Random(error.to_string()))?;
        Ok(Self { secret })
    }

    /// The identity of a known secret; the caller erases its own copy.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { secret: Zeroizing::new(*secret) }
    }

    /// Reads the file that [`NodeIdentity::save`] wrote.
    ///
    /// # Errors
    /// [`IdentityError`] where the file cannot be read, is readable to others, or is not a key.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let fail = |source| IdentityError::File { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => IdentityError::None { path: path.to_owned() },
            _ => fail(source),
        })?;
        refuse_exposed(path, &file.metadata().map_err(fail)?)?;
        // One byte more than a well-formed file has, so that a longer one shows.
        let mut text = Zeroizing::new(Vec::with_capacity(KEY_DIGITS + 3));
        file.take(KEY_DIGITS as u64 + 3).read_to_end(&mut text).map_err(fail)?;
        let malformed = || IdentityError::Malformed { path: path.to_owned() };
        let digits = text.strip_suffix(b"\n").unwrap_or(&text);
        let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
        let mut secret = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|_| malformed())?;
        Ok(Self { secret })
    }

    /// Writes the secret to a new file, 0600 on Unix. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`IdentityError::File`], among others where the file exists.
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        let mut text = Zeroizing::new([b'\n'; KEY_DIGITS + 1]);
        let fail = |source| IdentityError::File { path: path.to_owned(), source };
        hex::encode_to_slice(self.secret.as_slice(), &mut text[..KEY_DIGITS])
            .map_err(|error| fail(io::Error::other(error)))?;
        files::create(path, text.as_slice(), 0o600).map_err(fail)
    }

    /// The public name.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.signing().id()
    }

    /// As the protocol signs with it.
    #[must_use]
    pub fn signing(&self) -> signing::Identity {
        signing::Identity::from_secret(&self.secret)
    }

    /// As libp2p authenticates connections with it.
    #[must_use]
    pub fn keypair(&self) -> libp2p_identity::Keypair {
        let mut secret = *self.secret;
        let keypair = libp2p_identity::Keypair::ed25519_from_bytes(&mut secret);
        secret.zeroize();
        // Any 32 bytes are an Ed25519 secret; only another length is refused.
        keypair.expect("32 bytes are an ed25519 secret key")
    }
}

/// The libp2p spelling of a member's id.
///
/// # Errors
/// Where the bytes are not a point of the curve, so that nobody can hold the key.
pub fn peer_id(member: &MemberId) -> Result<PeerId, libp2p_identity::DecodingError> {
    let key = libp2p_identity::ed25519::PublicKey::try_from_bytes(&member.0)?;
    Ok(libp2p_identity::PublicKey::from(key).to_peer_id())
}

/// The member whose libp2p spelling this is.
///
/// # Errors
/// [`NotAMemberId`] for a key of another kind.
pub fn member_id(peer: &PeerId) -> Result<MemberId, NotAMemberId> {
    let refused = NotAMemberId(*peer);
    let multihash = peer.as_ref();
    if multihash.code() != IDENTITY_MULTIHASH {
        return Err(refused);
    }
    let key = libp2p_identity::PublicKey::try_decode_protobuf(multihash.digest()).map_err(|_| refused)?;
    Ok(MemberId(key.try_into_ed25519().map_err(|_| refused)?.to_bytes()))
}

/// The multihash code of a peer id that holds its whole key, as short keys do.
const IDENTITY_MULTIHASH: u64 = 0;

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), IdentityError> {
    let mode = std::os::unix::fs::MetadataExt::mode(metadata) & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(IdentityError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_member() {
        let identity = NodeIdentity::from_secret(&[7; 32]);
        let peer = identity.keypair().public().to_peer_id();
        assert_eq!(peer_id(&identity.id()).unwrap(), peer);
        assert_eq!(member_id(&peer).unwrap(), identity.id());
    }

    /// Peer id of a published test key: RFC 8032 section 7.1, test 1, through the libp2p peer id specification
    /// (identity multihash `00 24`, then the protobuf `08 01 12 20` and the key).
    #[test]
    fn peer_id_is_the_key_of_rfc_8032() {
        let secret = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let identity = NodeIdentity::from_secret(&secret.try_into().unwrap());
        assert_eq!(identity.id().0.as_slice(), public);
        let expected: Vec<u8> = [&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20], public.as_slice()].concat();
        assert_eq!(peer_id(&identity.id()).unwrap().to_bytes(), expected);
    }

    #[test]
    fn refuses_a_hashed_peer_id() {
        let hashed = PeerId::from_bytes(&[&[0x12, 0x20][..], &[5; 32]].concat()).unwrap();
        assert_eq!(member_id(&hashed), Err(NotAMemberId(hashed)));
    }

    #[test]
    fn survives_its_file_and_never_overwrites_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity.key");
        let identity = NodeIdentity::generate().unwrap();
        identity.save(&path).unwrap();
        assert_eq!(NodeIdentity::load(&path).unwrap().id(), identity.id());
        let again = NodeIdentity::generate().unwrap().save(&path);
        assert!(matches!(again, Err(IdentityError::File { .. })));
        assert_eq!(NodeIdentity::load(&path).unwrap().id(), identity.id());
    }

    #[test]
    fn refuses_files_that_are_no_keys() {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("empty", String::new()),
            ("short", "ab".repeat(31)),
            ("long", "ab".repeat(33)),
            ("not-hex", "zz".repeat(32)),
            ("two-lines", format!("{}\n\n\n", "ab".repeat(32))),
        ] {
            let path = home.path().join(name);
            fs::write(&path, text).unwrap();
            restrict(&path, 0o600);
            assert!(matches!(NodeIdentity::load(&path), Err(IdentityError::Malformed { .. })), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn is_private_and_refused_when_others_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity.key");
        NodeIdentity::from_secret(&[1; 32]).save(&path).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        for exposed in [0o640, 0o604, 0o660] {
            restrict(&path, exposed);
            let refused = NodeIdentity::load(&path).err().unwrap();
            assert!(matches!(refused, IdentityError::Exposed { mode, .. } if mode == exposed), "{refused}");
        }
    }

    #[cfg(unix)]
    fn restrict(path: &Path, mode: u32) {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, permissions).unwrap();
    }

    #[cfg(not(unix))]
    fn restrict(_: &Path, _: u32) {}
}
