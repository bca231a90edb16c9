//! A corrupt first aggregator lists a member on its roster that it never shows it to, and plays with the others as
//! if it had made none: two groups of honest members, of which neither hears of the other.

use consort_protocol::{
    ids::MemberId,
    manifest::Policy,
    messages::Message,
    mutation::{Check, Removed},
    sim::{Envelope, SequentialHost, Simulation},
};

use crate::setting::Setting;

/// How many of the groups get a sum.
fn sums() -> usize {
    let setting = Setting::new(6, Policy::default(), 1);
    let (aggregator, terms) = (setting.order()[0], setting.terms.clone());
    let others: Vec<MemberId> = setting.order().iter().copied().filter(|id| *id != aggregator).collect();
    let [first, second, between, third, fourth] = others[..] else { panic!("6 members") };
    let comes_to_a_sum = |group: [MemberId; 3], lost: &dyn Fn(&Envelope) -> bool| {
        let there = |id: MemberId| group.contains(&id) || id == aggregator;
        let members = setting.inputs().into_iter().map(|(identity, input)| {
            let input = input.filter(|_| there(identity.id()));
            (identity, input)
        });
        let pass = |envelope: Envelope| if lost(&envelope) { Vec::new() } else { vec![envelope] };
        let mut host = SequentialHost;
        let simulation = Simulation::new(terms.clone(), members, 1, &mut host).interfere(pass);
        usize::from(simulation.run().survivors().is_some())
    };
    let shown = comes_to_a_sum([first, second, between], &|envelope| {
        let advertises = matches!(envelope.message, Message::Advertise(_));
        (envelope.to == between && matches!(envelope.message, Message::Roster(_)))
            || (envelope.from == between && !advertises)
    });
    let hidden = comes_to_a_sum([between, third, fourth], &|envelope| match &envelope.message {
        Message::Contract(contract) => contract.body == *terms.contract(),
        Message::Advertise(advertisement) => advertisement.body.contract == *terms.digest(),
        _ => false,
    });
    shown + hidden
}

#[test]
fn of_one_round_over_different_members() {
    assert_eq!(sums(), 1);
    let _out = Removed::new(&[Check::QuorumOfAll]);
    assert_eq!(sums(), 2);
}
