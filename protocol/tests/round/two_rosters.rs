//! A corrupt first aggregator lists a member on its roster that it never shows it to, and plays with the others as
//! if it had made none. Each honest member is in one of two groups, and neither hears of the other.

use consort_protocol::{
    ids::MemberId,
    messages::Message,
    sim::{Envelope, Report, SequentialHost, Simulation},
};

use crate::setting::{Setting, setting};

/// What a group comes to, with the aggregator of slot 0 as its only link to the others. `lost` is what does not arrive.
fn among(setting: &Setting, group: &[MemberId], lost: impl Fn(&Envelope) -> bool) -> Report {
    let there = |id: MemberId| group.contains(&id) || id == setting.terms.aggregator();
    let members = setting.inputs().into_iter().map(|(identity, input)| {
        let input = input.filter(|_| there(identity.id()));
        (identity, input)
    });
    let pass = |envelope: Envelope| if lost(&envelope) { Vec::new() } else { vec![envelope] };
    Simulation::new(setting.terms.clone(), members, 1, &mut SequentialHost).interfere(pass).run()
}

/// Of 6 members, 1 of them corrupt: a threshold that followed from rosters of 4 would be 3, and both groups
/// would have a sum.
#[test]
fn a_round_has_one_result() {
    let setting = setting(6, 1);
    let aggregator = setting.terms.aggregator();
    let [first, second, between, third, fourth] = setting.others()[..] else { panic!("6 members") };

    let shown = among(&setting, &[first, second, between], |envelope| {
        let roster = matches!(&envelope.message, Message::Roster(roster) if roster.signer == aggregator);
        (roster && envelope.to == between)
            || (envelope.from == between && !matches!(envelope.message, Message::Advertise(_)))
    });
    assert!(shown.survivors().is_none(), "{:?}", shown.survivors());

    let slot_0 = *setting.terms.digest();
    let hidden = among(&setting, &[between, third, fourth], |envelope| match &envelope.message {
        Message::Contract(contract) => contract.body == *setting.terms.contract(),
        Message::Advertise(advertisement) => advertisement.body.contract == slot_0,
        _ => false,
    });
    setting.verify_sum(&hidden, 4);
}
