//! What a node knows of its consortium's epochs: the verified ones, and those that wait for signatures.
//!
//! A next epoch with enough signatures becomes the newest known one at once, and is written to disk at once. Where that
//! fails it counts all the same, since the others go on under it, and is written as soon as there is room; the
//! proposals stay until then. When it comes into force is up to the driver: between two rounds.

use std::{collections::BTreeMap, mem, path::PathBuf, sync::Arc};

use consort_protocol::{
    hash::Digest,
    ids::MemberId,
    manifest::{Chain, ManifestError, SignedManifest, Tally},
};
use tokio::sync::watch;

use crate::{consortium::Draft, home::Home, limits, proposals::Proposals};

/// Epochs, known and proposed.
pub(crate) struct Membership {
    chain: Chain,
    file: PathBuf,
    forks: PathBuf,
    /// Next epochs by their digests, each checked, none with enough signatures.
    open: BTreeMap<Digest, (SignedManifest, Proposal)>,
    folder: Proposals,
    /// Whether the newest epoch is not on disk.
    unsaved: bool,
    /// Tells what is open.
    told: watch::Sender<Arc<Vec<Proposal>>>,
}

/// A next epoch that waits for signatures, as its operator gets to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) epoch: u64,
    /// Where it is, unless there was no room for it.
    pub(crate) file: Option<PathBuf>,
    /// Signatures that count, and how many have to.
    pub(crate) tally: Tally,
}

/// Where a manifest comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// This node's operator.
    Owner,
    /// Another member.
    Member,
}

/// What was new about a manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    Nothing,
    /// A next epoch, or a signature on one.
    Signatures(Tally),
    /// A next epoch has enough signatures.
    Complete(Tally),
}

impl Membership {
    pub(crate) fn new(chain: Chain, home: &Home) -> Self {
        Self {
            chain,
            file: home.consortium(),
            forks: home.forks(),
            open: BTreeMap::new(),
            folder: Proposals::new(home.proposals()),
            unsaved: false,
            told: watch::Sender::default(),
        }
    }

    /// Next epochs that wait for signatures, whenever they change.
    pub(crate) fn proposals(&self) -> watch::Receiver<Arc<Vec<Proposal>>> {
        self.told.subscribe()
    }

    /// The verified epochs.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Next epochs that wait for signatures.
    pub(crate) fn open(&self) -> impl Iterator<Item = &SignedManifest> {
        self.open.values().map(|(signed, _)| signed)
    }

    /// Takes in a manifest.
    ///
    /// # Errors
    /// [`ManifestError`]: a fork, or an epoch that does not follow or is at fault.
    pub(crate) fn hear(&mut self, signed: SignedManifest, source: Source) -> Result<News, ManifestError> {
        let current = self.chain.manifest().epoch();
        if signed.body.epoch <= current {
            self.chain.witness(&signed)?;
            let known = self.chain.signed(signed.body.epoch).is_some_and(|known| known.body == signed.body);
            return match known {
                true => Ok(News::Nothing),
                false => Err(ManifestError::Expired { found: signed.body.epoch, current }),
            };
        }
        signed.tally(Some(self.chain.manifest()))?;
        let digest = signed.digest()?;
        let mut merged = signed;
        let known = self.open.get(&digest);
        let before = known.map(|(known, _)| known.signatures.len());
        merged.signatures.extend(known.iter().flat_map(|(known, _)| known.signatures.clone()));
        let tally = merged.tally(Some(self.chain.manifest()))?;
        if tally.is_complete() {
            self.chain.extend(merged)?;
            self.open.clear();
            self.tell();
            self.save();
            return Ok(News::Complete(tally));
        }
        if before.is_some_and(|before| before == tally.found) {
            return Ok(News::Nothing);
        }
        if before.is_none() && source == Source::Member && !self.has_room_for(&merged) {
            return Ok(News::Nothing);
        }
        let kept = self.folder.keep(&Draft::next(self.chain.clone(), merged.clone()));
        let file = kept.map_err(|error| tracing::error!(%error, "proposal not written")).ok();
        if let Some(file) = file.as_ref().filter(|_| before.is_none()) {
            let (epoch, file) = (merged.body.epoch, file.display());
            tracing::info!(epoch, %file, "a proposal of a next epoch: `consort status` says how to read and sign it");
        }
        let proposal = Proposal { epoch: merged.body.epoch, file, tally: tally.clone() };
        self.open.insert(digest, (merged, proposal));
        self.tell();
        Ok(News::Signatures(tally))
    }

    /// The proposal with the most signatures comes first.
    fn tell(&self) {
        let mut open: Vec<Proposal> = self.open.values().map(|(_, proposal)| proposal.clone()).collect();
        open.sort_by_key(|proposal| std::cmp::Reverse(proposal.tally.found));
        self.told.send_replace(Arc::new(open));
    }

    /// As many liars as there may be do not fill the list of proposals.
    fn has_room_for(&self, proposal: &SignedManifest) -> bool {
        let signs = |id: &&MemberId| {
            let others = self.open().filter(|open| open.signatures.contains_key(*id));
            others.count() < limits::MAX_PROPOSALS_PER_SIGNER
        };
        self.open.len() < limits::max_proposals(self.chain.manifest().corrupt())
            && proposal.signatures.keys().any(|id| signs(&id))
    }

    /// Files that the owner has put into the folder or signed since the last call, with all epochs in them. Called each
    /// second, it also writes what could not be written before.
    pub(crate) fn read_files(&mut self) -> Vec<(PathBuf, Vec<SignedManifest>)> {
        if self.unsaved {
            self.save();
        }
        let mut found = Vec::new();
        for (path, read) in self.folder.changed() {
            match read {
                Ok(draft) => found.push((path, draft.epochs())),
                Err(error) => tracing::warn!(%error, "proposal not taken"),
            }
        }
        found
    }

    /// Keeps a manifest that contradicts this chain; whether it was not known yet.
    pub(crate) fn keep_fork(&self, signed: &SignedManifest) -> bool {
        let Some(before) = self.chain.before(signed.body.epoch) else { return false };
        let forks = Proposals::new(self.forks.clone());
        let draft = Draft::next(before, signed.clone());
        if forks.path(&draft).is_ok_and(|path| path.exists()) {
            return false;
        }
        if let Err(error) = forks.keep(&draft) {
            tracing::error!(%error, "the other manifest is not on disk");
        }
        true
    }

    /// The epochs after this one, in order.
    pub(crate) fn after(&self, epoch: u64) -> Vec<SignedManifest> {
        let newer = epoch.saturating_add(1)..=self.chain.manifest().epoch();
        newer.filter_map(|epoch| self.chain.signed(epoch)).collect()
    }

    fn save(&mut self) {
        let (draft, epoch) = (Draft::from(self.chain.clone()), self.chain.manifest().epoch());
        if let Err(error) = draft.write(&self.file) {
            // said once, not each second
            if !mem::replace(&mut self.unsaved, true) {
                tracing::error!(epoch, %error, "the new epoch is not on disk: free the disk, it is tried again each second");
            }
            return;
        }
        self.folder.clear_through(epoch);
        if mem::take(&mut self.unsaved) {
            tracing::info!(epoch, "the new epoch is on disk now");
        }
    }
}

#[cfg(test)]
mod tests {
    use consort_protocol::{
        manifest::Policy,
        signing::Identity,
        sim::{Consortium, consortium},
    };

    use super::*;

    struct Scene {
        _folder: tempfile::TempDir,
        home: Home,
        members: Consortium,
        membership: Membership,
    }

    fn scene() -> Scene {
        scene_of(8)
    }

    fn scene_of(members: usize) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let members = consortium(members, Policy::default(), 1).unwrap();
        let chain = Chain::verify([members.signed.clone()]).unwrap();
        let membership = Membership::new(chain, &home);
        Scene { _folder: folder, home, members, membership }
    }

    impl Scene {
        /// A next epoch with another clip, signed by these members.
        fn proposal(&self, clip: f64, by: &[usize]) -> SignedManifest {
            let manifest = self.membership.chain().manifest();
            let mut body = manifest.body().clone();
            (body.epoch, body.previous) = (body.epoch + 1, Some(*manifest.digest()));
            body.policy.clip = clip;
            let mut signed = SignedManifest::new(body);
            by.iter().for_each(|member| signed.sign(self.identity(*member)).unwrap());
            signed
        }

        fn identity(&self, member: usize) -> &Identity {
            &self.members.identities[member]
        }

        fn hear(&mut self, signed: SignedManifest) -> Result<News, ManifestError> {
            self.membership.hear(signed, Source::Member)
        }
    }

    #[test]
    fn signatures_add_up_until_there_are_enough() {
        let mut scene = scene();
        let found = |news: Result<News, ManifestError>| match news.unwrap() {
            News::Nothing => None,
            News::Signatures(tally) | News::Complete(tally) => Some(tally.found),
        };
        let parts: Vec<_> =
            [&[0, 1][..], &[1, 2], &[3], &[4]].iter().map(|by| scene.proposal(2.0, by)).collect();
        let counts: Vec<_> = parts.iter().map(|part| found(scene.hear(part.clone()))).collect();
        assert_eq!(counts, [Some(2), Some(3), Some(4), Some(5)]);
        assert_eq!(found(scene.hear(parts[1].clone())), None, "heard before");
        assert_eq!(scene.membership.chain().manifest().epoch(), 0);
        let last = scene.proposal(2.0, &[7]);
        assert!(matches!(scene.hear(last), Ok(News::Complete(Tally { found: 6, needed: 6, .. }))));
        let manifest = crate::consortium::load(&scene.home.consortium()).unwrap();
        assert_eq!((manifest.manifest().epoch(), manifest.manifest().policy().clip), (1, 2.0));
        assert_eq!(scene.membership.after(0).len(), 1);
        assert_eq!(scene.membership.open().count(), 0);
        assert_eq!(std::fs::read_dir(scene.home.proposals()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_old_foreign_or_forged_is_not_taken() {
        let mut scene = scene();
        let (late, unsigned) = (scene.proposal(3.0, &[0]), scene.proposal(4.0, &[]));
        let everybody: Vec<usize> = (0..8).collect();
        let fork = scene.proposal(5.0, &everybody);
        assert_eq!(scene.hear(unsigned), Ok(News::Nothing), "nobody vouches for it");
        let first = scene.proposal(2.0, &everybody);
        assert!(matches!(scene.hear(first.clone()), Ok(News::Complete(_))));
        assert_eq!(scene.hear(first), Ok(News::Nothing));
        assert_eq!(scene.hear(late).err(), Some(ManifestError::Expired { found: 1, current: 1 }));
        assert!(
            matches!(scene.hear(fork.clone()), Err(ManifestError::Fork { epoch: 1, both }) if both.len() == 8)
        );
        assert!(scene.membership.keep_fork(&fork) && !scene.membership.keep_fork(&fork), "one alarm");
        assert_eq!(std::fs::read_dir(scene.home.forks()).unwrap().count(), 1);

        let mut gap = scene.proposal(2.0, &everybody);
        gap.body.epoch += 1;
        assert!(matches!(scene.hear(gap), Err(ManifestError::Predecessor { .. })));
        let mut forged = scene.proposal(2.0, &[0]);
        forged.body.policy.clip = 9.0;
        assert!(matches!(scene.hear(forged), Err(ManifestError::Signature(_))));
    }

    #[test]
    fn a_few_members_cannot_fill_the_list() {
        let mut scene = scene();
        for number in 1..50 {
            let spam = scene.proposal(f64::from(number), &[0, 1]);
            scene.hear(spam).unwrap();
        }
        assert_eq!(scene.membership.open().count(), limits::MAX_PROPOSALS_PER_SIGNER);
        let honest = scene.proposal(99.0, &[2]);
        assert!(matches!(scene.hear(honest), Ok(News::Signatures(_))));
        let own = scene.proposal(100.0, &[0]);
        let taken = scene.membership.hear(own, Source::Owner);
        assert!(matches!(taken, Ok(News::Signatures(_))), "what the operator hands in is taken");
    }

    #[test]
    fn as_many_liars_as_there_may_be_cannot_fill_the_list() {
        let mut scene = scene_of(100);
        for liar in 0..33 {
            for number in 0..limits::MAX_PROPOSALS_PER_SIGNER {
                let spam = scene.proposal((1 + 2 * liar + number) as f64, &[liar]);
                assert!(matches!(scene.hear(spam), Ok(News::Signatures(_))));
            }
        }
        let honest = scene.proposal(99.5, &[40]);
        assert!(matches!(scene.hear(honest), Ok(News::Signatures(_))));
    }

    #[test]
    fn files_that_the_owner_signs_are_seen_once() {
        let mut scene = scene();
        let chain = scene.membership.chain().clone();
        let draft = Draft::next(chain, scene.proposal(2.0, &[0]));
        let path = Proposals::new(scene.home.proposals()).keep(&draft).unwrap();
        let found = scene.membership.read_files();
        assert_eq!((found.len(), found[0].1.len()), (1, 2), "with the epoch before it");
        assert!(scene.membership.read_files().is_empty());
        std::fs::write(&path, "no manifest, but longer or shorter than before").unwrap();
        assert!(scene.membership.read_files().is_empty());
    }
}
