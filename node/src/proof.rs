//! A round's result as a file that proves itself: contract, signed roster, sum and certificate, to be checked by
//! anybody who has the manifest.
//!
//! Every byte of it is covered by a signature or by a hash that is signed, so an edited file is refused.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use consort_protocol::{
    certificate::check_published,
    codec,
    contract::{Contract, ContractError, Terms},
    fault::FaultKind,
    hash::Digest,
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::{
        advertise_keys::Roster,
        consistency_check::{Value, Vote},
        publish::Published,
    },
    roster::{SeenKeys, Session},
    signing::{self, Signed},
};
use serde::{Deserialize, Serialize};

use crate::ledger::{LedgerError, Records};

/// The largest file that is read: what a control message may hold.
const LARGEST_FILE: u64 = codec::MAX_CONTROL_BYTES as u64;

/// What shows how a round ended to somebody who was not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundProof {
    contract: Contract,
    roster: Signed<Roster>,
    published: Published,
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The contract of the attempt: round, attempt, slot, and what was summed.
    pub contract: Contract,
    /// Name of the session: hash of contract and roster.
    pub session: SessionId,
    /// Slot in which the votes were cast.
    pub slot: u32,
    /// Who signed the sum.
    pub aggregator: MemberId,
    /// Who gave keys, in ascending order.
    pub roster: Vec<MemberId>,
    /// Whose inputs are in the sum, in ascending order.
    pub survivors: Vec<MemberId>,
    /// Valid votes for these survivors.
    pub votes: usize,
    /// Votes that were needed.
    pub threshold: usize,
    /// Root of the sum: hash over the packed ring elements (docs/protocol.md).
    pub root: Digest,
}

/// Why there is no proof of a round.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// The round is not in the ledger.
    #[error("round {0} is not among those that this node has seen")]
    Unknown(u64),
    /// The round has no result.
    #[error("round {0} ended without a result, so there is nothing to prove")]
    NoResult(u64),
    /// The ledger does not hold the roster.
    #[error("round {0} was recorded without its roster, by an earlier version")]
    NoRoster(u64),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is longer than any proof.
    #[error("more than the {LARGEST_FILE} bytes that a round may have")]
    TooLarge,
    /// It is damaged, or something else.
    #[error("not an exported round: {0}")]
    Format(codec::CodecError),
    /// It decodes, but is not what was written.
    #[error("not an exported round as it was written: it was edited")]
    NotCanonical,
    /// It is of another consortium or epoch.
    #[error("it is of another manifest or epoch than the one it is checked against")]
    Manifest,
    /// Its contract is none.
    #[error("its contract: {0}")]
    Contract(#[from] ContractError),
    /// Its roster does not hold.
    #[error("its roster: {0}")]
    Roster(FaultKind),
    /// Its certificate, or the sum that it certifies, does not hold.
    #[error("its result: {0}")]
    Result(FaultKind),
    /// A vote is not the voter's.
    #[error("its result: the vote of {0} is not signed by it")]
    Vote(MemberId),
}

impl RoundProof {
    /// The proof of a round that the ledger has.
    ///
    /// # Errors
    /// [`NoProof`] says why there is none.
    pub fn of(records: &Records, round: u64) -> Result<Self, NoProof> {
        let record = records.round(round)?.ok_or(NoProof::Unknown(round))?;
        let (Some(contract), Some(published)) = (record.contract, record.published) else {
            return Err(NoProof::NoResult(round));
        };
        let mut published = published.without_opening();
        let roster = records.roster(round)?.ok_or(NoProof::NoRoster(round))?;
        // an aggregator may have added to enough votes what is none
        let vote = vote(&published);
        published.certificate.votes.retain(|(id, signature)| signing::verify_body(&vote, id, signature));
        Ok(Self { contract, roster, published })
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// Where it is larger than any round can be.
    pub fn to_bytes(&self) -> Result<Vec<u8>, codec::CodecError> {
        codec::encode(self)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`ProofError`], where these are not the very bytes that [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let proof: Self = codec::decode(bytes).map_err(ProofError::Format)?;
        match proof.to_bytes() {
            Ok(written) if written == bytes && proof.published.opening.is_none() => Ok(proof),
            _ => Err(ProofError::NotCanonical),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ProofError`] says why it is none.
    pub fn read(path: &Path) -> Result<Self, ProofError> {
        let file = |source| ProofError::File { path: path.into(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(file)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(file)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(ProofError::TooLarge);
        }
        Self::from_bytes(&bytes)
    }

    /// Digest of the manifest that it has to be checked against.
    #[must_use]
    pub fn manifest(&self) -> &Digest {
        &self.contract.manifest
    }

    /// Checks it with nothing but the manifest:
    ///
    /// 1. its contract is one of this manifest;
    /// 2. its roster is signed by the contract's aggregator, and each advertisement on it by its member, with enough
    ///    members and no key twice;
    /// 3. the sum is signed by the aggregator of the slot, in the session that contract and roster make;
    /// 4. the certificate has the votes of a threshold, all of them valid, for the survivors that the sum names,
    ///    and these lie within the signed mask set.
    ///
    /// # Errors
    /// [`ProofError`] says which check failed.
    pub fn verify(&self, manifest: &Arc<Manifest>) -> Result<Shown, ProofError> {
        let Contract { round, attempt, slot, ref task, .. } = self.contract;
        if self.contract.manifest != *manifest.digest() {
            return Err(ProofError::Manifest);
        }
        let terms = Terms::new(manifest.clone(), round, attempt, slot, task.clone())?;
        let session = Session::new(Arc::new(terms), &self.roster, &SeenKeys::default());
        let session = session.map_err(ProofError::Roster)?;
        check_published(&session, &self.published).map_err(ProofError::Result)?;
        let Published { sum, certificate, .. } = &self.published;
        let vote = vote(&self.published);
        let forged =
            |(id, signature): &&(MemberId, signing::Signature)| !signing::verify_body(&vote, id, signature);
        if let Some((voter, _)) = certificate.votes.iter().find(forged) {
            return Err(ProofError::Vote(*voter));
        }
        Ok(Shown {
            contract: self.contract.clone(),
            session: session.id(),
            slot: certificate.slot,
            aggregator: sum.signer,
            roster: session.participants().iter().map(|participant| participant.id).collect(),
            survivors: certificate.survivors.ids().collect(),
            votes: certificate.votes.len(),
            threshold: session.threshold().get(),
            root: sum.body.root,
        })
    }

    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let bytes = self.to_bytes().map_err(io::Error::other)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        // it is for others, and holds nothing that the members do not know
        #[cfg(unix)]
        fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    }
}

/// What the certificate's voters signed.
fn vote(published: &Published) -> Vote {
    let certificate = &published.certificate;
    let value = Value::Survivors(certificate.survivors.digest());
    Vote { session: certificate.session, slot: certificate.slot, value }
}
