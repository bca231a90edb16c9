//! Whole rounds of real nodes, in which a script does as it likes with some of the messages.
//!
//! ```text
//! members  seed  weather  faults  (skip  what  …)*      skip: so many messages pass before the next is changed
//! ```
//!
//! Nodes answer to anything, so what a script says is bounded and what nodes make of it has to be: whoever lets a
//! changed message multiply or time stand still is found, as is a panic. As long as no script signs in a member's
//! name, nobody may be blamed and no promise broken either.

use core::time::Duration;
use std::sync::Arc;

use crate::{
    array::{Array, Dtype, Values},
    codec,
    contract::{Task, Terms, spec_for},
    encoding::{Input, Layout, Reduction, ValidInput},
    ids::MemberId,
    io::Role,
    masking::MaskPlan,
    messages::Message,
    phase::Phase,
    signing::{Identity, Signed, Statement},
    sim::{
        Adversary, Consortium, Envelope, Fault, Host, Lie, Report, SequentialHost, Simulation, Violation,
        Weather, What,
    },
};

/// Elements of each input.
const LENGTH: u64 = 3;

/// Changes of one script.
const MAX_CHANGES: usize = 64;

/// Messages that are remembered to be said again.
const REMEMBERED: usize = 64;

/// More than a round of five with all slots used up takes.
const MAX_SENT: usize = 20_000;

/// Runs the round of a script.
///
/// # Panics
/// Where nodes talk without end, time stands still, or a rule is broken though nobody's key was misused.
pub fn round(bytes: &[u8]) {
    let mut script = Script(bytes);
    let setting = Setting::new(3 + usize::from(script.byte() % 3));
    let seed = script.byte().into();
    let weather = script.byte();
    let faults = script.byte() % 3;
    let mut host = Counting::default();
    let mut simulation = setting.simulation(seed, &mut host).weather(Weather {
        breaks: u16::from(weather & 3) * 5,
        delays: u16::from(weather >> 2 & 3) * 10,
        repeats: u16::from(weather >> 4) * 10,
    });
    for _ in 0..faults {
        simulation = simulation.fault(setting.fault(&mut script));
    }
    let mut meddler = Meddler::new(&setting, script);
    let report = simulation.interfere(|envelope| meddler.meddle(envelope)).run();
    let endless = report.violations.iter().find(|it| matches!(it, Violation::Endless { .. }));
    assert_eq!(endless, None);
    assert!(host.sent <= MAX_SENT, "{} messages in one round", host.sent);
    // who is made the sender of what another has said is blamed for it, and rightly
    let broken = report.violations.iter().find(|it| !matches!(it, Violation::Framed { .. }));
    assert!(meddler.signed || broken.is_none(), "{broken:?}");
}

/// A round of [`super::MEMBERS`] with one liar: what honest members prove of it is what evidence looks like.
#[must_use]
pub fn round_with_lie(lie: Lie) -> Report {
    let setting = Setting::new(super::MEMBERS);
    let aggregator = setting.terms.aggregator();
    let liar = setting.consortium.identities.iter().find(|it| it.id() == aggregator).cloned();
    let adversary = Adversary::new(&setting.consortium.manifest, liar.map(|liar| (liar, lie)), 1);
    setting.simulation(1, &mut Counting::default()).adversary(adversary).run()
}

/// Takes a script apart; after its end come zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct Setting {
    consortium: Consortium,
    terms: Arc<Terms>,
}

impl Setting {
    fn new(members: usize) -> Self {
        let consortium = super::members(members);
        let spec = spec_for(&consortium.manifest, [(vec![LENGTH], Dtype::I64)], Reduction::Sum, None);
        let task = Task { label: None, query: [0; 32], spec };
        let terms = Terms::new(consortium.manifest.clone(), 3, 0, 0, task).expect("terms of a small vector");
        Self { consortium, terms: Arc::new(terms) }
    }

    fn simulation<'a, H: Host>(&self, seed: u64, host: &'a mut H) -> Simulation<'a, H> {
        let spec = &self.terms.contract().task.spec;
        let input = |(number, identity): (usize, &Arc<Identity>)| {
            let array = Array::new(vec![LENGTH], Values::I64(vec![number as i64, -1, 1 << 20]));
            let input = array.map(|array| Input { leaves: vec![array], weight: 1 });
            let valid = input.and_then(|input| ValidInput::new(input, spec, self.terms.layout()).ok());
            (identity.clone(), valid)
        };
        let members = self.consortium.identities.iter().enumerate().map(input);
        Simulation::new(self.terms.clone(), members.collect::<Vec<_>>(), seed, host)
    }

    fn id(&self, number: u8) -> MemberId {
        let members = self.consortium.manifest.members();
        members
            .get(usize::from(number) % members.len())
            .map(|member| member.id)
            .unwrap_or_else(|| self.terms.aggregator())
    }

    fn fault(&self, script: &mut Script<'_>) -> Fault {
        let (on, phase, what) = (script.byte(), script.byte(), script.byte());
        let time = Duration::from_millis(50 * u64::from(script.byte()));
        let what = match what % 4 {
            0 => What::Kill,
            1 => What::Restart(time),
            2 => What::Pause(time),
            _ => What::Cut([self.id(what >> 2)].into(), time),
        };
        let role = if on & 1 == 0 { Role::Member } else { Role::Aggregator };
        let phase = Phase::ALL[usize::from(phase) % Phase::ALL.len()];
        Fault { on: (on & 2 == 0).then(|| self.id(on >> 2)), role, phase, what }
    }
}

#[derive(Default)]
struct Counting {
    sent: usize,
}

impl Host for Counting {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.mask(input, plan, layout)
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        SequentialHost.sum(vectors, plan, layout)
    }

    fn sent(&mut self, _envelope: &Envelope, _bytes: usize) {
        self.sent += 1;
    }
}

struct Meddler<'a> {
    setting: &'a Setting,
    script: Script<'a>,
    /// Messages that still pass before the next is changed.
    skip: usize,
    changes: usize,
    remembered: Vec<Envelope>,
    /// Whether something was signed that its signer did not say.
    signed: bool,
}

impl<'a> Meddler<'a> {
    fn new(setting: &'a Setting, mut script: Script<'a>) -> Self {
        let skip = script.byte().into();
        Self { setting, script, skip, changes: 0, remembered: Vec::new(), signed: false }
    }

    fn meddle(&mut self, envelope: Envelope) -> Vec<Envelope> {
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(envelope.clone());
        }
        if self.script.0.is_empty() || self.changes >= MAX_CHANGES {
            return vec![envelope];
        }
        if self.skip > 0 {
            self.skip -= 1;
            return vec![envelope];
        }
        self.changes += 1;
        let said = self.change(envelope);
        self.skip = self.script.byte().into();
        said
    }

    fn change(&mut self, mut envelope: Envelope) -> Vec<Envelope> {
        match self.script.byte() % 9 {
            0 => Vec::new(),
            1 => vec![envelope.clone(), envelope],
            2 => {
                let at = self.script.word() % self.remembered.len();
                self.remembered.get(at).cloned().into_iter().chain([envelope]).collect()
            }
            3 => {
                envelope.from = self.setting.id(self.script.byte());
                vec![envelope]
            }
            4 => {
                envelope.to = self.setting.id(self.script.byte());
                vec![envelope]
            }
            5 => self.edited(envelope, |message, _| message),
            // what a corrupt member says: anything, but signed
            6 | 7 => {
                self.signed = true;
                self.edited(envelope, signed_again)
            }
            _ => {
                let length = self.script.word();
                let said = codec::decode::<Message>(self.script.bytes(length)).ok();
                let made_up = said.map(|message| Envelope { message, ..envelope.clone() });
                made_up.into_iter().chain([envelope]).collect()
            }
        }
    }

    /// The message, after some of its bytes were replaced; nothing where it decodes no more.
    fn edited(
        &mut self,
        envelope: Envelope,
        finish: impl FnOnce(Message, &Setting) -> Message,
    ) -> Vec<Envelope> {
        let Ok(mut bytes) = codec::encode(&envelope.message) else { return vec![envelope] };
        for _ in 0..=self.script.byte() % 3 {
            let at = self.script.word() % bytes.len();
            let removed = usize::from(self.script.byte() % 64).min(bytes.len() - at);
            let inserted = usize::from(self.script.byte() % 64);
            let inserted = self.script.bytes(inserted);
            drop(bytes.splice(at..at + removed, inserted.iter().copied()));
            if bytes.is_empty() {
                return Vec::new();
            }
        }
        let message = codec::decode(&bytes).ok().map(|message| finish(message, self.setting));
        message.map(|message| Envelope { message, ..envelope }).into_iter().collect()
    }
}

/// The same message with a signature that verifies, where its signer is a member.
fn signed_again(message: Message, setting: &Setting) -> Message {
    match message {
        Message::Contract(it) => Message::Contract(signed(it, setting)),
        Message::Advertise(it) => Message::Advertise(signed(it, setting)),
        Message::Decline(it) => Message::Decline(signed(it, setting)),
        Message::Roster(it) => Message::Roster(signed(it, setting)),
        Message::Receipt(it, commitments) => Message::Receipt(signed(it, setting), commitments),
        Message::MaskSet(it) => Message::MaskSet(signed(it, setting)),
        Message::MaskedInput(it) => Message::MaskedInput(signed(it, setting)),
        Message::Proposal(it) => Message::Proposal(signed(it, setting)),
        Message::Vote(it) => Message::Vote(signed(it, setting)),
        Message::Reveal(it) => Message::Reveal(signed(it, setting)),
        Message::Acknowledge(it) => Message::Acknowledge(signed(it, setting)),
        Message::Abort(it) => Message::Abort(signed(it, setting)),
        Message::TimedOut(it) => Message::TimedOut(signed(it, setting)),
        Message::StandbyReceipt(it) => Message::StandbyReceipt(signed(it, setting)),
        Message::Published(mut it) => {
            it.sum = *signed(Box::new(it.sum), setting);
            Message::Published(it)
        }
        Message::Timeout(mut it) => {
            it.timeout = *signed(Box::new(it.timeout), setting);
            Message::Timeout(it)
        }
        Message::NewSlot(mut it) => {
            it.new_slot = *signed(Box::new(it.new_slot), setting);
            Message::NewSlot(it)
        }
        unsigned => unsigned,
    }
}

fn signed<T: Statement + Clone>(statement: Box<Signed<T>>, setting: &Setting) -> Box<Signed<T>> {
    let identities = &setting.consortium.identities;
    let signer = identities.iter().find(|identity| identity.id() == statement.signer);
    let again = signer.and_then(|signer| Signed::new(statement.body.clone(), signer).ok());
    again.map_or(statement, Box::new)
}
