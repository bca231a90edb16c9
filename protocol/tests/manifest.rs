//! Thresholds against brute force, and the manifests that nobody may run with.

use consort_protocol::{
    manifest::{
        MAX_MEMBERS, Manifest, ManifestBody, ManifestError, MemberEntry, Policy, SignedManifest, max_corrupt,
        quorum,
    },
    signing::Identity,
};

fn identity(number: usize) -> Identity {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Identity::from_secret(&secret)
}

fn body(members: usize, policy: Policy) -> ManifestBody {
    let entry = |number: usize| MemberEntry {
        id: identity(number).id(),
        name: format!("node {number}"),
        addresses: Vec::new(),
        may_aggregate: true,
    };
    ManifestBody {
        name: "test".into(),
        epoch: 0,
        previous: None,
        members: (0..members).map(entry).collect(),
        policy,
    }
}

/// Signed by all its members, whatever it says.
fn signed(body: ManifestBody, members: usize) -> SignedManifest {
    let mut signed = SignedManifest::new(body);
    (0..members).for_each(|number| signed.sign(&identity(number)).unwrap());
    signed
}

fn manifest(members: usize, policy: Policy) -> Manifest {
    signed(body(members, policy), members).verify().unwrap()
}

fn with_corrupt(members: usize, corrupt: u16) -> Manifest {
    manifest(members, Policy { corrupt: Some(corrupt), ..Policy::default() })
}

/// Whether `c` corrupt members who vote for both of two values, and honest ones who vote for one of them
/// or not at all, can give `votes` votes to each.
fn two_values_get(votes: usize, n: usize, c: usize) -> bool {
    let honest = n - c;
    (0..=honest).any(|left| (0..=honest - left).any(|right| c + left >= votes && c + right >= votes))
}

#[test]
fn the_quorum_is_the_least_that_two_values_cannot_both_get() {
    for n in 3..60 {
        for c in 0..=n {
            let least = (1..=n + 1).find(|&votes| !two_values_get(votes, n, c)).unwrap();
            assert_eq!(quorum(n, c), least, "n = {n}, c = {c}");
            assert_eq!(quorum(n, c), (n + c) / 2 + 1);
        }
    }
}

#[test]
fn a_majority_is_broken_by_a_lone_aggregator_for_every_odd_n() {
    for n in 3..60 {
        assert_eq!(two_values_get(n / 2 + 1, n, 1), n % 2 == 1, "n = {n}");
    }
}

/// Two halves of the consortium that overlap in the corrupt members alone: never both a roster.
#[test]
fn two_halves_never_both_complete_a_round() {
    for members in 3..40 {
        for c in 1..=max_corrupt(members) {
            let least = with_corrupt(members, c as u16).min_participants();
            assert!(!two_values_get(least, members, c), "{c} of {members}");
            assert!(two_values_get(least - 1, members, c), "{c} of {members}: one less would do");
        }
    }
}

/// Whoever lies can have different rosters accepted by different members: what is certified under one of them
/// must leave too few for a certificate under any other.
#[test]
fn two_rosters_never_both_lead_to_a_result() {
    for members in 3..40 {
        for c in 1..=max_corrupt(members) {
            let manifest = with_corrupt(members, c as u16);
            for n in manifest.min_participants()..=members {
                let needed = manifest.threshold(n).unwrap().get();
                assert!(!two_values_get(needed, members, c), "rosters of {n} of {members}, {c} corrupt");
            }
        }
    }
}

#[test]
fn the_numbers_of_the_examples() {
    // members, c, roster, threshold
    for (members, c, n, t) in [
        (3, Some(1), 3, 3),
        (4, Some(1), 4, 3),
        (8, Some(1), 8, 5),
        (8, Some(2), 8, 6),
        (8, None, 8, 6),
        (10, None, 10, 7),
        (15, None, 15, 10),
        (100, None, 100, 67),
        (8, None, 7, 6),
        (8, None, 6, 6),
        (8, Some(1), 5, 5),
        (5, None, 5, 4),
    ] {
        let manifest = manifest(members, Policy { corrupt: c, ..Policy::default() });
        assert_eq!(manifest.threshold(n).unwrap().get(), t, "{n} of {members}");
        assert_eq!(manifest.min_survivors(n), Some(t.max(3)), "{n} of {members}");
    }
    for (members, c, least) in [(3, 1, 3), (4, 1, 3), (8, 1, 5), (8, 2, 6), (10, 3, 7), (100, 33, 67)] {
        let manifest = with_corrupt(members, c);
        assert_eq!((manifest.corrupt(), manifest.min_participants()), (c.into(), least), "{members}");
    }
    for (members, c) in [(3, 1), (4, 1), (6, 1), (7, 2), (8, 2), (10, 3), (15, 4), (100, 33)] {
        assert_eq!(max_corrupt(members), c, "{members}");
        assert_eq!(manifest(members, Policy::default()).corrupt(), c, "{members}");
    }
}

#[test]
fn a_policy_can_only_be_stricter() {
    let stricter = Policy {
        corrupt: Some(1),
        min_survivors: Some(7),
        min_participants: Some(8),
        planned_losses: Some(1),
        ..Policy::default()
    };
    let strict = manifest(8, stricter);
    assert_eq!(strict.min_participants(), 8);
    assert_eq!(strict.threshold(8).unwrap().get(), 7);
    assert_eq!(strict.min_survivors(8), Some(7));
    assert_eq!(strict.min_survivors(6), None, "more survivors than there are on the roster");
    // planning for many losses never lowers the threshold
    let lax = Policy { planned_losses: Some(7), min_survivors: Some(3), ..Policy::default() };
    let lax = manifest(8, lax);
    assert_eq!((lax.threshold(8).unwrap().get(), lax.min_survivors(8)), (6, Some(6)));
    for n in 0..3 {
        assert_eq!(lax.threshold(n).map(|t| t.get()), None, "{n}");
    }
}

#[track_caller]
fn refused(policy: Policy, named: &str) {
    match signed(body(8, policy), 8).verify() {
        Err(ManifestError::Policy { key, .. }) => assert_eq!(key, named),
        other => panic!("{named}: {:?}", other.err()),
    }
}

#[test]
fn policies_that_are_refused() {
    let policy = Policy::default();
    for corrupt in [0, 3, 8, u16::MAX] {
        refused(Policy { corrupt: Some(corrupt), ..policy }, "corrupt");
    }
    // c is 2 of 8, so two halves of 5 could both complete a round
    for least in [0, 5, 9] {
        refused(Policy { min_participants: Some(least), ..policy }, "min_participants");
    }
    for least in [0, 2, 9] {
        refused(Policy { min_survivors: Some(least), ..policy }, "min_survivors");
    }
    for clip in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(Policy { clip, ..policy }, "clip");
    }
    refused(Policy { step_log2: 61, ..policy }, "step");
    refused(Policy { step_log2: -61, ..policy }, "step");
    refused(Policy { integer_bound: Some(0), ..policy }, "integer_bound");
    refused(Policy { max_weight: 0, ..policy }, "max_weight");
    refused(Policy { max_vector: 0, ..policy }, "max_vector");
    refused(Policy { deadline_ms: 0, ..policy }, "deadlines");
    refused(Policy { deadline_ms: 86_400_001, ..policy }, "deadlines");
    refused(Policy { gather_ms: u64::MAX, ..policy }, "gather");
}

fn verdict(change: impl FnOnce(&mut ManifestBody)) -> Result<Manifest, ManifestError> {
    let mut body = body(4, Policy::default());
    change(&mut body);
    signed(body, 4).verify()
}

#[test]
fn too_few_or_too_many_members() {
    for members in [0, 1, 2] {
        let refused = signed(body(members, Policy::default()), members).verify().err();
        assert_eq!(refused, Some(ManifestError::MemberCount { found: members }));
    }
    let many = MAX_MEMBERS + 1;
    let refused = SignedManifest::new(body(many, Policy::default())).verify().err();
    assert_eq!(refused, Some(ManifestError::MemberCount { found: many }));
    assert!(verdict(|_| {}).is_ok());
}

#[test]
fn entries_that_are_refused() {
    let twice = verdict(|body| body.members.push(body.members[0].clone()));
    assert_eq!(twice.err(), Some(ManifestError::Order(identity(0).id())));
    let mut unsorted = signed(body(4, Policy::default()), 4);
    unsorted.body.members.swap(0, 1);
    assert!(matches!(unsorted.verify(), Err(ManifestError::Order(_))));

    let entry = |change: &dyn Fn(&mut MemberEntry)| {
        let refused = verdict(|body| change(&mut body.members[1]));
        assert!(matches!(refused, Err(ManifestError::Entry { .. })), "{:?}", refused.err());
    };
    // the identity element, which everybody can sign for, and bytes that are no point
    entry(&|member| member.id.0 = std::array::from_fn(|at| u8::from(at == 0)));
    entry(&|member| member.id.0 = std::array::from_fn(|at| if at == 0 { 2 } else { 0 }));
    entry(&|member| member.name = String::new());
    entry(&|member| member.name = "x".repeat(65));
    entry(&|member| member.name = "  ".into());
    entry(&|member| member.name = "node 3".into());
    // what moves the cursor, or turns around what is read
    for name in ["ward\n7", "ward\x1b[2K", "ward\u{202e}7", "ward\u{200b}7"] {
        entry(&|member| member.name = name.into());
    }
    entry(&|member| member.addresses = vec![String::new(); 9]);
    entry(&|member| member.addresses = vec!["x".repeat(257)]);

    let nobody = verdict(|body| body.members.iter_mut().for_each(|member| member.may_aggregate = false));
    assert!(matches!(nobody, Err(ManifestError::Policy { key: "may_aggregate", .. })));
    for name in [String::new(), "x".repeat(65)] {
        let refused = verdict(|body| body.name = name);
        assert!(matches!(refused, Err(ManifestError::Policy { key: "name", .. })));
    }
    assert_eq!(verdict(|body| body.epoch = 1).err(), Some(ManifestError::Epoch(1)));
}

#[test]
fn signatures_that_are_missing_or_forged() {
    let mut one_short = SignedManifest::new(body(4, Policy::default()));
    (0..3).for_each(|number| one_short.sign(&identity(number)).unwrap());
    let missing = ManifestError::Unsigned { missing: vec!["node 3".into()] };
    assert_eq!(one_short.verify().err(), Some(missing));

    let by_another = |mut manifest: SignedManifest| {
        let signature = manifest.signatures[&identity(0).id()];
        manifest.signatures.insert(identity(1).id(), signature);
        manifest
    };
    let forged = by_another(signed(body(4, Policy::default()), 4)).verify();
    assert_eq!(forged.err(), Some(ManifestError::Signature(identity(1).id())));

    let mut stranger = signed(body(4, Policy::default()), 4);
    stranger.sign(&identity(9)).unwrap();
    assert_eq!(stranger.verify().err(), Some(ManifestError::Signature(identity(9).id())));
}

/// Nothing of a manifest can be changed once it is signed.
#[test]
fn edited_after_signing() {
    let changes: [&dyn Fn(&mut ManifestBody); 8] = [
        &|body| body.name.push('x'),
        &|body| body.members[2].name.push('x'),
        &|body| body.members[2].may_aggregate = false,
        &|body| body.members[2].addresses.push("/ip4/10.0.0.9/tcp/1".into()),
        &|body| body.policy.clip = 17.0,
        &|body| body.policy.corrupt = Some(1),
        &|body| body.policy.deadline_ms += 1,
        &|body| body.policy.max_vector += 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut manifest = signed(body(4, Policy::default()), 4);
        change(&mut manifest.body);
        assert!(matches!(manifest.verify(), Err(ManifestError::Edited)), "change {number}");
    }
}
