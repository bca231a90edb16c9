//! A member that says the same kind of thing without end leaves no more behind than a few of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use allocation_counter::measure;
use chacha20::{ChaCha20Rng, rand_core::SeedableRng as _};
use consort_protocol::{
    array::Dtype,
    contract::{Task, Terms, spec_for},
    encoding::Reduction,
    hash::Digest,
    ids::{MemberId, SessionId},
    io::{Input, Now, Output},
    manifest::Policy,
    messages::{
        Message,
        advertise_keys::{Advertisement, Roster},
        consistency_check::{Certificate, Proposal, Proposed, SurvivorSet, Value, Vote},
        failover::{KnownCommitments, NewSlot, StandbyReceipt, Timeout},
        masked_input::MaskedInput,
        publish::{Published, Sum},
        share_keys::{MaskSet, SealedShares},
    },
    round::{Deeds, Round, RoundSetup},
    sharing::{MaskKey, SelfMaskSecret, deal},
    signing::{Signature, Signed, Statement},
    sim::{Consortium, consortium},
};

const MEMBERS: usize = 5;
const MANY: u32 = 500;

/// What a few statements take: kinds, members and places are few.
const LIMIT: i64 = 32 << 10;

struct Table {
    consortium: Consortium,
    terms: Arc<Terms>,
    rounds: BTreeMap<MemberId, Round>,
    rng: ChaCha20Rng,
}

impl Table {
    /// Everybody has begun, and all messages up to the upload of the vectors have come.
    fn new() -> Self {
        let consortium = consortium(MEMBERS, Policy::default(), 5).unwrap();
        let spec = spec_for(&consortium.manifest, [(vec![3], Dtype::I64)], Reduction::Sum, None);
        let task = Task { label: None, query: [0; 32], spec };
        let terms = Arc::new(Terms::new(consortium.manifest.clone(), 3, 0, 0, task.clone()).unwrap());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (mut rounds, mut queue) = (BTreeMap::new(), VecDeque::new());
        for identity in &consortium.identities {
            let setup = RoundSetup {
                identity: identity.clone(),
                manifest: consortium.manifest.clone(),
                number: 3,
                task: task.clone(),
                seen: Arc::default(),
                guard: Arc::default(),
                aggregates: true,
                away: BTreeMap::new(),
                excluded: BTreeSet::new(),
            };
            let (round, deeds) = Round::begin(setup, Now::ZERO, &mut rng);
            queue.extend(sent(identity.id(), deeds));
            rounds.insert(identity.id(), round);
        }
        while let Some((from, to, message)) = queue.pop_front() {
            let input = Input::Message(from, message);
            let deeds = rounds.get_mut(&to).unwrap().handle(input, Now::ZERO, &mut rng);
            queue.extend(sent(to, deeds));
        }
        Self { consortium, terms, rounds, rng }
    }

    fn session(&self) -> SessionId {
        let member = self.rounds[&self.terms.aggregator()].member().unwrap();
        member.session().expect("the roster is out").id()
    }

    /// What stays in the memory of the one who is flooded.
    fn flooded(&mut self, victim: MemberId, message: impl Fn(u32) -> Message) -> i64 {
        let from = self.consortium.identities.iter().map(|it| it.id()).find(|id| *id != victim).unwrap();
        let (round, rng) = (self.rounds.get_mut(&victim).unwrap(), &mut self.rng);
        let flood = || {
            for number in 0..MANY {
                drop(round.handle(Input::Message(from, Box::new(message(number))), Now::ZERO, rng));
            }
        };
        measure(flood).bytes_current
    }
}

fn sent(from: MemberId, deeds: Deeds) -> Vec<(MemberId, MemberId, Box<Message>)> {
    let send = |(_, output)| match output {
        Output::Send(to, message) => Some((from, to, message)),
        _ => None,
    };
    deeds.into_iter().filter_map(send).collect()
}

fn numbered(number: u32) -> Digest {
    let mut digest = [9; 32];
    digest[..4].copy_from_slice(&number.to_le_bytes());
    digest
}

fn forged<T: Statement>(body: T, signer: MemberId, number: u32) -> Box<Signed<T>> {
    let mut signature = [1; 64];
    signature[..4].copy_from_slice(&number.to_le_bytes());
    Box::new(Signed::from_parts(body, signer, Signature::from_bytes(&signature)))
}

/// The message with a number, different from all others of its kind.
type Numbered = Box<dyn Fn(u32) -> Message>;

/// Messages of all kinds that a node remembers something of.
fn kinds(table: &Table) -> Vec<(&'static str, Numbered)> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (mask_key, self_mask) = (MaskKey::generate(&mut rng), SelfMaskSecret::generate(&mut rng));
    let threshold = table.consortium.manifest.threshold(MEMBERS).unwrap();
    let commitments = consort_protocol::messages::share_keys::DealtCommitments {
        mask_key: deal(&mask_key, threshold, MEMBERS, &mut rng).unwrap().commitments,
        self_mask: deal(&self_mask, threshold, MEMBERS, &mut rng).unwrap().commitments,
    };
    let (contract, session) = (*table.terms.digest(), table.session());
    let aggregator = table.terms.aggregator();
    let member = table.consortium.identities.iter().map(|it| it.id()).find(|id| *id != aggregator).unwrap();
    let advertisement = Advertisement {
        contract,
        mask_key: mask_key.public(),
        self_mask: self_mask.public_point(),
        sealing_key: [3; 32],
    };
    let advertise = {
        let advertisement = advertisement.clone();
        move |n| Message::Advertise(forged(advertisement.clone(), MemberId(numbered(n)), n))
    };
    let roster = move |n| {
        let listed = vec![*forged(advertisement.clone(), MemberId(numbered(n)), n)];
        Message::Roster(forged(Roster { contract, advertisements: listed }, aggregator, n))
    };
    let holder = {
        let terms = table.terms.clone();
        move |slot| terms.holder(slot).unwrap()
    };
    let slots = 3 * MEMBERS as u32;
    let survivors =
        |n| SurvivorSet { mask_set: numbered(n), vectors: vec![(MemberId(numbered(n)), numbered(n))] };
    let mask_set = move |n| *forged(MaskSet { session, dealers: vec![(member, numbered(n))] }, aggregator, n);
    vec![
        ("advertisements", Box::new(advertise)),
        ("rosters", Box::new(roster)),
        (
            "shares",
            Box::new(move |n| {
                let session = SessionId(numbered(n));
                Message::Shares(Box::new(SealedShares {
                    session,
                    dealer: member,
                    receiver: aggregator,
                    ciphertext: vec![0; 100],
                }))
            }),
        ),
        ("mask sets", Box::new(move |n| Message::MaskSet(Box::new(mask_set(n))))),
        (
            "inputs",
            Box::new(move |n| {
                let input = MaskedInput { session, mask_set: [0; 32], root: numbered(n) };
                Message::MaskedInput(forged(input, member, n))
            }),
        ),
        (
            "proposals",
            Box::new(move |n| {
                let input = MaskedInput { session, mask_set: [0; 32], root: numbered(n) };
                let statements = vec![*forged(input, member, n); MEMBERS];
                let value = Proposed::Survivors { statements, standbys: Vec::new() };
                let slot = n % slots;
                Message::Proposal(forged(Proposal { session, slot, value }, holder(slot), n))
            }),
        ),
        (
            "votes",
            Box::new(move |n| {
                let vote = Vote { session, slot: n % slots, value: Value::Survivors(numbered(n)) };
                Message::Vote(forged(vote, member, n))
            }),
        ),
        (
            "certificates",
            Box::new(move |n| {
                let votes = vec![(member, Signature::from_bytes(&[n as u8; 64])); MEMBERS];
                let survivors = survivors(n);
                Message::Certificate(Box::new(Certificate { session, slot: n % slots, survivors, votes }))
            }),
        ),
        (
            "time-outs",
            Box::new(move |n| {
                let timeout = Timeout { session, slot: n % slots, mask_set: Some(numbered(n)), vote: None };
                Message::TimedOut(forged(timeout, member, n))
            }),
        ),
        (
            "sums",
            Box::new(move |n| {
                let sum = Sum { session, survivors: numbered(n), root: numbered(n) };
                let certificate =
                    Certificate { session, slot: 0, survivors: survivors(n), votes: Vec::new() };
                let (sum, mask_set) = (*forged(sum, aggregator, n), mask_set(n));
                Message::Published(Box::new(Published { sum, certificate, mask_set, opening: None }))
            }),
        ),
        (
            "commitments",
            Box::new(move |n| {
                let dealers = vec![(MemberId(numbered(n)), commitments.clone())];
                Message::Commitments(Box::new(KnownCommitments { session, dealers }))
            }),
        ),
        (
            "standby receipts",
            Box::new(move |n| {
                let receipt = StandbyReceipt { session, slot: 0, survivors: numbered(n) };
                Message::StandbyReceipt(forged(receipt, member, n))
            }),
        ),
        (
            "new slots",
            Box::new({
                let terms = table.terms.clone();
                move |n| {
                    let slot = 1 + n % (slots - 1);
                    let timeout = Timeout { session, slot: slot - 1, mask_set: None, vote: None };
                    let timeouts = vec![*forged(timeout, member, n); MEMBERS];
                    let new_slot = NewSlot { session, slot, timeouts };
                    let holder = terms.holder(slot).unwrap();
                    let shown = consort_protocol::messages::failover::ShownNewSlot {
                        new_slot: *forged(new_slot, holder, n),
                        mask_set: None,
                        history: Vec::new(),
                        missing: vec![MemberId(numbered(n))],
                    };
                    Message::NewSlot(Box::new(shown))
                }
            }),
        ),
    ]
}

#[test]
fn statements_without_end_leave_little_behind() {
    let kinds = kinds(&Table::new());
    for (kind, message) in &kinds {
        for aggregates in [true, false] {
            let mut table = Table::new();
            let aggregator = table.terms.aggregator();
            let mut others = table.consortium.identities.iter().map(|it| it.id());
            let victim = others.find(|id| (*id == aggregator) == aggregates).unwrap();
            let left = table.flooded(victim, message);
            assert!(left <= LIMIT, "{left} bytes of {MANY} {kind}, aggregator: {aggregates}");
        }
    }
}
