//! All that a coalition holds, and what it can compute from it.
//!
//! The oracle has the secrets of every corrupt node, opens what was dealt to them, collects what was revealed
//! to them, and takes every masked vector for known. It rebuilds each secret that it can, and from these
//! works out which sums the coalition can unmask: a set of honest vectors whose self masks are all known,
//! and in which every mask that is shared with somebody outside of the set is known from either end.
//!
//! What can be unmasked is a sum of *minimal* such sets: members that share an unknown mask are bound to each
//! other, so the minimal sets are the classes of that relation in which nobody is held back by an unknown
//! self mask, or by an unknown mask shared with somebody who sent no vector. Of these it gives the plain sums
//! (`oracle/extraction.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    hash::Digest,
    ids::{MemberId, SessionId},
    manifest::Manifest,
    messages::{
        Message,
        share_keys::{DealtCommitments, SealedShares, SecretKind},
    },
    roster::Session,
    sharing::{Lagrange, PublicPoint, RecoveredMaskKey, SelfMaskSecret, Share, ShareIndex, Verifier},
};

use super::{
    bulk::Chunks, monitor::Monitor, report::Envelope, sessions::Sessions, spied::Spied, violation::Violation,
};

mod extraction;

pub use extraction::Extracted;

/// A set of honest vectors whose sum a coalition can compute.
pub(super) type Sum = (SessionId, BTreeSet<MemberId>);

/// What a coalition holds.
pub struct Oracle {
    corrupt: BTreeSet<MemberId>,
    sessions: Sessions,
    spied: BTreeMap<MemberId, Vec<Spied>>,
    loot: BTreeMap<SessionId, Loot>,
    /// Sums that were published.
    published: BTreeSet<Sum>,
    changed: bool,
}

/// What it holds of one session.
struct Loot {
    session: Arc<Session>,
    shares: BTreeMap<(MemberId, SecretKind), BTreeMap<ShareIndex, Share>>,
    verifiers: BTreeMap<(MemberId, SecretKind), Verifier>,
    mask_keys: BTreeMap<MemberId, RecoveredMaskKey>,
    self_masks: BTreeMap<MemberId, SelfMaskSecret>,
    mask_sets: BTreeMap<Digest, BTreeSet<MemberId>>,
    /// Under which mask set each honest vector was made.
    vectors: BTreeMap<MemberId, Digest>,
    /// The vectors themselves, masked as they travel.
    chunks: BTreeMap<MemberId, Chunks>,
}

impl Oracle {
    /// The oracle of a coalition.
    #[must_use]
    pub fn new(manifest: Arc<Manifest>, corrupt: impl IntoIterator<Item = MemberId>) -> Self {
        let (spied, loot, published) = Default::default();
        let corrupt = corrupt.into_iter().collect();
        Self { corrupt, sessions: Sessions::new(manifest), spied, loot, published, changed: false }
    }

    /// The secrets of a corrupt node, or of somebody whom the coalition has made up, for one attempt.
    pub fn spied(&mut self, id: MemberId, spied: Spied) {
        self.corrupt.insert(id);
        self.spied.entry(id).or_default().push(spied);
    }

    /// A message leaves a node.
    pub fn sent(&mut self, Envelope { from, to, message }: &Envelope) {
        if let Some(session) = self.sessions.learn(message) {
            self.loot.insert(session.id(), Loot::new(session));
        }
        match message {
            Message::Shares(sealed) if self.corrupt.contains(to) => self.dealt(to, sealed),
            Message::Receipt(receipt, commitments) => {
                if let Some(loot) = self.loot.get_mut(&receipt.body.session) {
                    loot.commitments(receipt.signer, commitments);
                }
            }
            Message::MaskSet(it) => {
                if let Some(loot) = self.loot.get_mut(&it.body.session) {
                    let dealers = it.body.dealers.iter().map(|(dealer, _)| *dealer).collect();
                    loot.mask_sets.insert(it.digest(), dealers);
                }
            }
            Message::MaskedInput(it) if !self.corrupt.contains(from) => {
                if let Some(loot) = self.loot.get_mut(&it.body.session) {
                    self.changed |= loot.vectors.insert(*from, it.body.mask_set).is_none();
                }
            }
            Message::Reveal(reveal) if self.corrupt.contains(to) => {
                let Some(loot) = self.loot.get_mut(&reveal.body.session) else { return };
                let Some(index) = loot.session.share_index(from) else { return };
                for (dealer, revealed) in &reveal.body.shares {
                    let (kind, share) = revealed.open();
                    self.changed |= loot.share(*dealer, kind, index, share);
                }
            }
            Message::Published(it) => {
                let honest = it.certificate.survivors.ids().filter(|id| !self.corrupt.contains(id)).collect();
                self.changed |= self.published.insert((it.certificate.session, honest));
            }
            _ => {}
        }
    }

    fn dealt(&mut self, to: &MemberId, sealed: &SealedShares) {
        let Some(loot) = self.loot.get_mut(&sealed.session) else { return };
        let session = loot.session.clone();
        let keys = self.spied.get(to).into_iter().flatten();
        let opened = keys
            .filter(|spied| spied.belongs_to(&session, to))
            .find_map(|spied| spied.open(&session, to, sealed));
        let (Some(dealt), Some(index)) = (opened, session.share_index(to)) else { return };
        loot.commitments(dealt.signer, &dealt.body.commitments);
        self.changed |= loot.share(dealt.signer, SecretKind::MaskKey, index, &dealt.body.mask_key);
        self.changed |= loot.share(dealt.signer, SecretKind::SelfMask, index, &dealt.body.self_mask);
    }

    /// All minimal sums that the coalition can compute, and those that were published.
    pub(super) fn sums(&self) -> BTreeSet<Sum> {
        let computed = self.loot.iter().flat_map(|(id, loot)| {
            loot.minimal_sets(&self.corrupt).into_iter().map(|members| (*id, members))
        });
        computed.chain(self.published.iter().cloned()).collect()
    }

    /// Looks at what has come in since the last time.
    pub(super) fn check(&mut self, monitor: &mut Monitor) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for violation in self.violations(&monitor.certified_sets().collect()) {
            monitor.violation(violation);
        }
    }

    /// What it holds against what is promised, where these sets may be certified.
    pub(super) fn violations(&self, certified: &BTreeSet<Sum>) -> Vec<Violation> {
        let mut found = Vec::new();
        for (session, loot) in &self.loot {
            for of in loot.both(&self.corrupt) {
                found.push(Violation::BothSecrets { session: *session, of });
            }
        }
        let planned = self.sessions.manifest().corrupt();
        let sums = self.sums();
        for (session, members) in &sums {
            let Some(loot) = self.loot.get(session) else { continue };
            let needed = loot.session.min_survivors().saturating_sub(planned);
            if members.len() < needed {
                found.push(Violation::SmallSum { session: *session, members: members.len(), needed });
            }
            if !certified.contains(&(*session, members.clone())) {
                found.push(Violation::UncertifiedSum { session: *session });
            }
        }
        if let Some((session, _)) = sums.iter().nth(1) {
            found.push(Violation::SecondSum { session: *session });
        }
        found
    }
}

impl Loot {
    fn new(session: Arc<Session>) -> Self {
        let (shares, verifiers, mask_keys, self_masks) = Default::default();
        let (mask_sets, vectors, chunks) = Default::default();
        Self { session, shares, verifiers, mask_keys, self_masks, mask_sets, vectors, chunks }
    }

    fn commitments(&mut self, dealer: MemberId, commitments: &DealtCommitments) {
        let Some(participant) = self.session.participant(&dealer) else { return };
        let points = [
            (SecretKind::MaskKey, participant.mask_key.point()),
            (SecretKind::SelfMask, participant.self_mask),
        ];
        for (kind, point) in points {
            self.verifier(dealer, kind, commitments, &point);
        }
    }

    fn verifier(
        &mut self,
        dealer: MemberId,
        kind: SecretKind,
        commitments: &DealtCommitments,
        point: &PublicPoint,
    ) {
        if !self.verifiers.contains_key(&(dealer, kind))
            && let Ok(verifier) = commitments.to(kind).verifier(self.session.threshold(), point)
        {
            self.verifiers.insert((dealer, kind), verifier);
        }
    }

    /// Takes a share in. Gives whether a secret is known now that was not.
    fn share(&mut self, dealer: MemberId, kind: SecretKind, index: ShareIndex, share: &Share) -> bool {
        if self.knows(&dealer, kind) {
            return false;
        }
        let shares = self.shares.entry((dealer, kind)).or_default();
        shares.entry(index).or_insert_with(|| share.clone());
        let needed = self.session.threshold().get();
        if shares.len() < needed {
            return false;
        }
        let Some(verifier) = self.verifiers.get(&(dealer, kind)) else { return false };
        // what corrupt dealers and revealers get wrong on purpose is of no use to the coalition
        let right = shares.iter().filter(|(index, share)| verifier.verify(**index, share).is_ok());
        let (indices, values): (Vec<ShareIndex>, Vec<&Share>) =
            right.take(needed).map(|(index, share)| (*index, share)).unzip();
        let rebuilt = Lagrange::new(&indices)
            .and_then(|lagrange| lagrange.combine(&values))
            .and_then(|secret| secret.check(verifier));
        let Ok(secret) = rebuilt else { return false };
        match kind {
            SecretKind::MaskKey => self.mask_keys.insert(dealer, secret.into_mask_key()).is_none(),
            SecretKind::SelfMask => self.self_masks.insert(dealer, secret.into_self_mask()).is_none(),
        }
    }

    fn knows(&self, id: &MemberId, kind: SecretKind) -> bool {
        match kind {
            SecretKind::MaskKey => self.mask_keys.contains_key(id),
            SecretKind::SelfMask => self.self_masks.contains_key(id),
        }
    }

    fn both(&self, corrupt: &BTreeSet<MemberId>) -> Vec<MemberId> {
        let ids = self.session.participants().iter().map(|participant| participant.id);
        let both =
            |id: &MemberId| self.knows(id, SecretKind::MaskKey) && self.knows(id, SecretKind::SelfMask);
        ids.filter(|id| !corrupt.contains(id) && both(id)).collect()
    }

    /// The honest members whose masks are in somebody's vector.
    fn partners(&self, of: &MemberId) -> Option<&BTreeSet<MemberId>> {
        self.mask_sets.get(self.vectors.get(of)?)
    }

    fn minimal_sets(&self, corrupt: &BTreeSet<MemberId>) -> Vec<BTreeSet<MemberId>> {
        let mut classes: Vec<(BTreeSet<MemberId>, bool)> = Vec::new();
        for one in self.vectors.keys() {
            let mut free = self.knows(one, SecretKind::SelfMask);
            let mut bound = BTreeSet::from([*one]);
            for other in self.partners(one).into_iter().flatten() {
                let known = self.knows(one, SecretKind::MaskKey) || self.knows(other, SecretKind::MaskKey);
                if other == one || corrupt.contains(other) || known {
                    continue;
                }
                if self.partners(other).is_some_and(|partners| partners.contains(one)) {
                    bound.insert(*other);
                } else {
                    free = false;
                }
            }
            let (joined, apart): (Vec<_>, Vec<_>) =
                classes.into_iter().partition(|(class, _)| !class.is_disjoint(&bound));
            for (class, of_class) in joined {
                bound.extend(class);
                free &= of_class;
            }
            classes = apart;
            classes.push((bound, free));
        }
        classes.into_iter().filter(|(_, free)| *free).map(|(class, _)| class).collect()
    }
}
