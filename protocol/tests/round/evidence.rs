//! Whoever signs what excludes itself is convicted, by whichever node gets to see both.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use consort_protocol::{
    evidence::Crime,
    ids::MemberId,
    messages::{
        Message,
        consistency_check::{Proposed, Value},
        failover::{KnownCommitments, Timeout},
        share_keys::DealtCommitments,
        unmasking::RevealedShare,
    },
    report::{AbortReason, Outcome},
    sharing::Share,
    signing::{Identity, Signed, Statement},
    sim::{Adversary, Envelope, Fault, Lie, Report, SequentialHost, Simulation},
};

use crate::setting::{Setting, setting};

fn run(setting: &Setting, faults: &[Fault], with: impl FnMut(Envelope) -> Vec<Envelope>) -> Report {
    let mut host = SequentialHost;
    let mut simulation =
        Simulation::new(setting.terms.clone(), setting.inputs(), 7, &mut host).interfere(with);
    for fault in faults {
        simulation = simulation.fault(fault.clone());
    }
    simulation.run()
}

fn identity(setting: &Setting, id: MemberId) -> Arc<Identity> {
    setting.consortium.identities.iter().find(|identity| identity.id() == id).unwrap().clone()
}

fn resigned<T: Statement + Clone>(
    signed: &Signed<T>,
    by: &Identity,
    alter: impl FnOnce(&mut T),
) -> Box<Signed<T>> {
    let mut body = signed.body.clone();
    alter(&mut body);
    Box::new(Signed::new(body, by).unwrap())
}

/// Everything that was proved is proved of this member.
#[track_caller]
fn convicted(setting: &Setting, report: &Report, culprit: MemberId, crime: Crime) {
    let manifest = &setting.consortium.manifest;
    let proven: BTreeSet<(MemberId, Crime)> = report
        .evidence
        .iter()
        .map(|(_, evidence)| evidence.verify(manifest).unwrap())
        .map(|proven| (proven.culprit, proven.crime))
        .collect();
    assert_eq!(proven, BTreeSet::from([(culprit, crime)]), "{:?}", report.faults);
}

/// Members that are told one thing while the others are told another.
fn half(setting: &Setting) -> BTreeSet<MemberId> {
    setting.others().into_iter().take(4).collect()
}

#[test]
fn nobody_is_convicted_in_an_honest_round() {
    let setting = setting(8, 11);
    let report = run(&setting, &[], |envelope| vec![envelope]);
    assert!(report.evidence.is_empty() && report.faults.is_empty());
}

#[test]
fn two_rosters_are_found_by_members_that_deal_in_different_sessions() {
    let setting = setting(8, 11);
    let aggregator = setting.terms.aggregator();
    let (by, half, left_out) = (identity(&setting, aggregator), half(&setting), setting.others()[6]);
    let report = run(&setting, &[], |mut envelope| {
        if let Message::Roster(roster) = &mut envelope.message
            && envelope.from == aggregator
            && half.contains(&envelope.to)
        {
            *roster = resigned(roster, &by, |it| it.advertisements.retain(|it| it.signer != left_out));
        }
        vec![envelope]
    });
    convicted(&setting, &report, aggregator, Crime::TwoRosters);
}

/// Tells half of the members of a mask set without one of the others.
fn split_mask_set(setting: &Setting) -> impl Fn(Envelope) -> Envelope {
    let aggregator = setting.terms.aggregator();
    let (by, half, left_out) = (identity(setting, aggregator), half(setting), setting.others()[6]);
    move |mut envelope| {
        if let Message::MaskSet(mask_set) = &mut envelope.message
            && envelope.from == aggregator
            && half.contains(&envelope.to)
        {
            *mask_set = resigned(mask_set, &by, |it| it.dealers.retain(|(id, _)| *id != left_out));
        }
        envelope
    }
}

#[test]
fn two_mask_sets_are_found_by_the_next_aggregator() {
    let setting = setting(8, 11);
    let (aggregator, split) = (setting.terms.aggregator(), split_mask_set(&setting));
    let report = run(&setting, &[], |envelope| match envelope.message {
        Message::Proposal(_) if envelope.from == aggregator => Vec::new(),
        _ => vec![split(envelope)],
    });
    convicted(&setting, &report, aggregator, Crime::TwoMaskSets);
}

/// Its second mask set is not shown to those who have the first, so nothing is proved; but it cannot begin
/// the round again and again until it is void.
#[test]
fn whoever_abandons_its_own_attempt_does_not_get_the_next_one() {
    let setting = setting(8, 11);
    let split = split_mask_set(&setting);
    let report = run(&setting, &[], |envelope| vec![split(envelope)]);
    setting.verify_sum(&report, 8);
    let slots = report.slots.values().next().unwrap();
    assert_eq!(slots.len(), 1, "{slots:?}");
}

#[test]
fn two_proposals_in_a_slot_are_found_by_whoever_hears_of_the_votes_for_them() {
    let setting = setting(8, 11);
    let aggregator = setting.terms.aggregator();
    let (by, half) = (identity(&setting, aggregator), half(&setting));
    let report = run(&setting, &[], |mut envelope| {
        if let Message::Proposal(proposal) = &mut envelope.message
            && envelope.from == aggregator
            && half.contains(&envelope.to)
        {
            *proposal = resigned(proposal, &by, |it| it.value = Proposed::Abandon);
        }
        vec![envelope]
    });
    convicted(&setting, &report, aggregator, Crime::TwoProposals);
}

#[test]
fn a_second_vote_in_a_slot() {
    let setting = setting(8, 11);
    let liar = setting.others()[1];
    let by = identity(&setting, liar);
    let report = run(&setting, &[], |envelope| {
        let mut all = vec![envelope.clone()];
        if let Message::Vote(vote) = &envelope.message
            && envelope.from == liar
        {
            let second = resigned(vote, &by, |it| it.value = Value::Abandon);
            all.push(Envelope { message: Message::Vote(second), ..envelope });
        }
        all
    });
    convicted(&setting, &report, liar, Crime::TwoVotes);
    setting.verify_sum(&report, 8);
}

#[test]
fn a_time_out_that_hides_a_vote() {
    let setting = setting(8, 11);
    let liar = setting.others()[1];
    let by = identity(&setting, liar);
    // its vote is shown by the certificate that comes too late for its slot
    let hidden = RefCell::new(false);
    let report = run(&setting, &[], |envelope| {
        let mut all = vec![envelope.clone()];
        if let Message::Certificate(certificate) = &envelope.message
            && envelope.to != liar
            && !hidden.replace(true)
        {
            let body =
                Timeout { session: certificate.session, slot: certificate.slot, mask_set: None, vote: None };
            let timeout = Box::new(Signed::new(body, &by).unwrap());
            all.push(Envelope { from: liar, to: envelope.to, message: Message::TimedOut(timeout) });
        }
        all
    });
    assert!(*hidden.borrow());
    let voted = report.survivors().is_some();
    assert!(voted);
    let manifest = &setting.consortium.manifest;
    for (_, evidence) in &report.evidence {
        let proven = evidence.verify(manifest).unwrap();
        assert_eq!((proven.culprit, proven.crime), (liar, Crime::HiddenVote));
    }
}

#[test]
fn a_wrong_share_revealed() {
    let setting = setting(8, 11);
    let liar = setting.others()[0];
    let by = identity(&setting, liar);
    let report = run(&setting, &[], |mut envelope| {
        if let Message::Reveal(reveal) = &mut envelope.message
            && envelope.from == liar
        {
            *reveal = resigned(reveal, &by, |it| {
                for revealed in it.shares.values_mut() {
                    *revealed = RevealedShare::SelfMask(Share::from_bytes([1; 32]).unwrap());
                }
            });
        }
        vec![envelope]
    });
    convicted(&setting, &report, liar, Crime::BadReveal);
    setting.verify_sum(&report, 8);
}

/// What a share is wrong by is what its dealer committed to, not what somebody says first.
#[test]
fn false_commitments_hide_no_wrong_share() {
    let setting = setting(8, 11);
    let aggregator = setting.terms.aggregator();
    let [liar, friend, dealer] = setting.others()[..3] else { panic!("8 members") };
    let by = identity(&setting, liar);
    let report = run(&setting, &[], |mut envelope| {
        let mut all = Vec::new();
        if let Message::Receipt(receipt, commitments) = &envelope.message
            && receipt.signer == dealer
        {
            let DealtCommitments { mask_key, self_mask } = (**commitments).clone();
            let dealers = vec![(dealer, DealtCommitments { mask_key: self_mask, self_mask: mask_key })];
            let message =
                Message::Commitments(Box::new(KnownCommitments { session: receipt.body.session, dealers }));
            all.push(Envelope { from: friend, to: aggregator, message });
        }
        if let Message::Reveal(reveal) = &mut envelope.message
            && envelope.from == liar
        {
            *reveal = resigned(reveal, &by, |it| {
                it.shares.insert(dealer, RevealedShare::SelfMask(Share::from_bytes([1; 32]).unwrap()));
            });
        }
        all.push(envelope);
        all
    });
    convicted(&setting, &report, liar, Crime::BadReveal);
    setting.verify_sum(&report, 8);
}

#[test]
fn two_sums_of_one_set() {
    let setting = setting(8, 11);
    let aggregator = setting.terms.aggregator();
    let by = identity(&setting, aggregator);
    let report = run(&setting, &[], |envelope| {
        let mut all = vec![envelope.clone()];
        if let Message::Published(published) = &envelope.message
            && envelope.from == aggregator
        {
            let mut second = published.clone();
            second.sum = *resigned(&published.sum, &by, |it| it.root = [1; 32]);
            all.push(Envelope { message: Message::Published(second), ..envelope });
        }
        all
    });
    convicted(&setting, &report, aggregator, Crime::TwoSums);
}

/// The one standby that conspires holds its tongue; the other adds up for itself.
#[test]
fn a_false_sum_is_proved_by_whoever_holds_the_vectors() {
    let setting = setting(8, 11);
    let order = setting.terms.order();
    let (aggregator, fellow) = (order[0], order[1]);
    let liars = [(aggregator, Lie::WrongSum), (fellow, Lie::NoAcknowledgement)];
    let liars = liars.map(|(id, lie)| (identity(&setting, id), lie));
    let mut host = SequentialHost;
    let report = Simulation::new(setting.terms.clone(), setting.inputs(), 7, &mut host)
        .adversary(Adversary::new(&setting.consortium.manifest, liars, 7))
        .run();
    assert_eq!(report.violations, []);
    let by_honest = report.evidence.iter().filter(|(by, _)| *by != aggregator && *by != fellow);
    let proven =
        by_honest.map(|(by, evidence)| (*by, evidence.verify(&setting.consortium.manifest).unwrap()));
    let proven: Vec<_> = proven.map(|(by, proven)| (by, proven.culprit, proven.crime)).collect();
    assert_eq!(proven, [(order[2], aggregator, Crime::FalseSum)]);
    // and does not take it
    assert_eq!(report.outcomes[&order[2]], Outcome::Aborted(AbortReason::FalseSum));
}
