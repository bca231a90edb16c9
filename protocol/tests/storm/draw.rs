//! What a seed comes to.

use core::time::Duration;

use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use consort_protocol::{
    ids::MemberId,
    io::Role,
    manifest::{Policy, max_corrupt, quorum},
    phase::Phase,
    sim::{Adversary, Fault, Lie, Weather, What},
};

use crate::setting::Setting;

pub(crate) struct Storm {
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    pub(crate) faults: Vec<Fault>,
    pub(crate) weather: Weather,
    pub(crate) liars: Vec<(MemberId, Lie)>,
}

struct Dice(ChaCha20Rng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound.max(1) as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn seconds(&mut self, most: usize) -> Duration {
        Duration::from_millis(1 + self.below(most * 1000) as u64)
    }

    fn members(&mut self, setting: &Setting, count: usize) -> Vec<MemberId> {
        let mut all: Vec<MemberId> = setting.consortium.identities.iter().map(|it| it.id()).collect();
        for at in 0..count.min(all.len()) {
            let other = at + self.below(all.len() - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }

    /// 3 to 10 members, rather few: the work grows with the third power.
    fn consortium(&mut self) -> usize {
        3 + self.below(8).min(self.below(8))
    }

    fn phase(&mut self) -> Phase {
        self.of(&Phase::ALL)
    }
}

impl Storm {
    /// Everything that may go wrong at once: up to c liars, crashes, pauses, a partition, bad links.
    pub(crate) fn of_liars(seed: u64) -> Self {
        let mut dice = Dice(ChaCha20Rng::seed_from_u64(seed));
        let members = dice.consortium();
        let corrupt = dice.one_in(4).then(|| 1 + dice.below(max_corrupt(members)) as u16);
        let policy = Policy {
            corrupt,
            standby_bytes: dice.of(&[64 << 20, 64 << 20, 400, 0]),
            planned_losses: dice.one_in(4).then(|| dice.below(3) as u16),
            ..Policy::default()
        };
        let setting = Setting::new(members, policy, seed);
        let planned = setting.consortium.manifest.corrupt();
        let count = dice.below(planned + 1).max(dice.below(planned + 1));
        let mut liars = dice.members(&setting, count);
        // the round's first aggregators are the interesting ones
        for (at, liar) in liars.iter_mut().enumerate() {
            if dice.one_in(2) {
                *liar = setting.order()[at];
            }
        }
        liars.sort_unstable();
        liars.dedup();
        let liars = liars.into_iter().map(|id| (id, dice.of(Lie::ALL))).collect();
        let mut faults = Vec::new();
        for _ in 0..dice.below(3) {
            let (on, role) = match dice.one_in(2) {
                true => (None, Role::Aggregator),
                false => (Some(dice.members(&setting, 1)[0]), Role::Member),
            };
            let what = match dice.below(4) {
                0 => What::Kill,
                1 => What::Restart(dice.seconds(40)),
                2 => What::Pause(dice.seconds(40)),
                _ => {
                    let side = 1 + dice.below(members - 1);
                    What::Cut(dice.members(&setting, side).into_iter().collect(), dice.seconds(40))
                }
            };
            faults.push(Fault { on, role, phase: dice.phase(), what });
        }
        let mut often = |most: usize| if dice.one_in(2) { 0 } else { dice.below(most) as u16 };
        let weather = Weather { breaks: often(5), delays: often(10), repeats: often(40) };
        Self { seed, setting, faults, weather, liars }
    }

    /// Nothing but crashes, and no more than a round is promised to bear.
    pub(crate) fn of_crashes(seed: u64) -> Self {
        let mut dice = Dice(ChaCha20Rng::seed_from_u64(seed));
        let members = dice.consortium();
        let corrupt = dice.one_in(2).then(|| 1 + dice.below(max_corrupt(members)) as u16);
        let setting = Setting::new(members, Policy { corrupt, ..Policy::default() }, seed);
        let may_be_lost = members - quorum(members, setting.consortium.manifest.corrupt());
        let lost = dice.below(may_be_lost + 1).max(dice.below(may_be_lost + 1));
        let mut faults = Vec::new();
        for member in dice.members(&setting, lost) {
            let what = if dice.one_in(3) { What::Restart(dice.seconds(60)) } else { What::Kill };
            let phase = dice.phase();
            faults.push(match dice.one_in(2) {
                true => Fault { on: None, role: Role::Aggregator, phase, what },
                false => Fault { on: Some(member), role: Role::Member, phase, what },
            });
        }
        Self { seed, setting, faults, weather: Weather::default(), liars: Vec::new() }
    }

    pub(crate) fn adversary(&self) -> Adversary {
        let liars = self.liars.iter().map(|(id, lie)| (self.setting.identity(id), *lie));
        Adversary::new(&self.setting.consortium.manifest, liars, self.seed)
    }

    pub(crate) fn describe(&self) -> String {
        let manifest = &self.setting.consortium.manifest;
        let liars: Vec<String> = self.liars.iter().map(|(id, lie)| format!("{id}:{lie}")).collect();
        let order: Vec<String> = self.setting.order().iter().map(ToString::to_string).collect();
        format!(
            "seed {}: {} members, c = {}, order {}, liars [{}], {:?}, {:?}",
            self.seed,
            manifest.members().len(),
            manifest.corrupt(),
            order.join(" "),
            liars.join(" "),
            self.weather,
            self.faults,
        )
    }
}
