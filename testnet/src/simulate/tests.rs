use consort_protocol::sim::{SequentialHost, Simulation};

use super::*;

fn arguments(members: usize, vector_len: usize, drop: f64) -> Simulate {
    Simulate { members, vector_len, degree: Degree::Auto, drop, corrupt: 0.05, threads: 2, json: true }
}

struct Setting {
    consortium: Consortium,
    terms: Arc<Terms>,
    vector_len: usize,
}

impl Setting {
    fn new(members: usize, vector_len: usize) -> Self {
        let consortium = consortium(members, Policy::default(), SEED).unwrap();
        let terms = Arc::new(terms(&consortium, vector_len).unwrap());
        Self { consortium, terms, vector_len }
    }

    fn run(&self, host: &mut impl sim::Host) -> sim::Report {
        let identities = self.consortium.identities.iter().cloned();
        let inputs = inputs(identities.len(), &self.terms, self.vector_len).unwrap();
        Simulation::new(self.terms.clone(), identities.zip(inputs.into_iter().map(Some)), SEED, host).run()
    }
}

#[test]
fn a_simulation_reports_what_happened() {
    let report = run(&arguments(7, 5000, 0.3)).unwrap();
    // 7 members: c = 2, t = ⌊(7+2)/2⌋+1; the sum of 7·2·2^20 steps takes 24 bits
    assert_eq!((report.degree, report.threshold, report.dropped, report.ring_bits), (6, 5, 2, 24));
    assert!(report.correct && report.max_abs_error > 0.0 && report.max_abs_error <= report.error_bound);
    // half a step for each of the 5 survivors, and half a unit in the last place of a sum below 80
    assert!((5.0 / 131_072.0..=5.0 / 131_072.0 + 4e-6).contains(&report.error_bound));
    for times in [&report.member_ms, &report.aggregator_ms] {
        assert!(Phase::ALL.iter().all(|phase| times[phase] > 0.0), "{times:?}");
    }
}

#[test]
fn a_member_sends_its_vector_once_and_its_commitments_to_everybody() {
    let sent = |members, vector_len| run(&arguments(members, vector_len, 0.0)).unwrap().bytes_up_per_member;
    assert_eq!(sent(7, 9000) - sent(7, 1000), 8000 * 24 / 8);
    // each of 6 sealed messages and the receipt bring 2 commitments of 32 bytes for each of 5 coefficients
    let control = sent(7, 1000) - 1000 * 24 / 8;
    assert!((7 * 2 * 5 * 32..4 * 7 * 2 * 5 * 32).contains(&control), "{control}");
}

#[test]
fn pieces_on_threads_give_the_bytes_of_chunks_one_by_one() {
    let setting = Setting::new(4, 45_001);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let (mut fast, mut plain) = (MeasuringHost::new(pool, 4), SequentialHost);
    let (fast, plain) = (setting.run(&mut fast), setting.run(&mut plain));
    assert_eq!(fast.vectors, plain.vectors);
    // the transcript names the root of the sum too
    assert_eq!(fast.transcript, plain.transcript);
    assert_eq!(fast.aggregates.len(), 4);
}

#[test]
fn one_wrong_element_at_one_member_is_found() {
    let setting = Setting::new(4, 1000);
    let mut outcome = setting.run(&mut SequentialHost);
    let survivors = survivors(&outcome, 4).unwrap();
    let correct = |outcome: &sim::Report| check(&setting.consortium, outcome, &survivors, 1000).correct;
    assert!(correct(&outcome));
    let aggregate = outcome.aggregates.values_mut().nth(2).unwrap();
    let Values::F32(values) = aggregate.leaves[0].values() else { panic!("no sum of f32") };
    let mut values = values.clone();
    values[999] += 1e-3;
    aggregate.leaves[0] = Array::new(vec![1000], Values::F32(values)).unwrap();
    assert!(!correct(&outcome));
}

#[test]
fn the_share_that_is_lost_is_rounded_down_and_spares_the_aggregator() {
    for members in 4..=20 {
        let setting = Setting::new(members, 1);
        let lost = lost(1.0 / members as f64, &setting.consortium, &setting.terms).unwrap();
        assert_eq!(lost.len(), 1);
        assert!(!lost.contains(&setting.terms.aggregator()), "{members}");
    }
    let setting = Setting::new(100, 1);
    let lost = |drop| lost(drop, &setting.consortium, &setting.terms);
    for (drop, count) in [(0.0, 0), (0.009, 0), (0.01, 1), (0.29, 29), (0.299, 29), (0.3, 30), (0.33, 33)] {
        let lost = lost(drop).unwrap();
        assert_eq!(lost.len(), count, "{drop}");
        assert!(!lost.contains(&setting.terms.aggregator()));
    }
    assert_eq!(
        lost(0.34).unwrap_err().to_string(),
        "--drop: 66 of 100 members would be left, 67 are needed: lose at most 33"
    );
}

#[test]
fn what_cannot_be_simulated_is_refused_in_words() {
    let refused = |arguments| run(&arguments).unwrap_err().to_string();
    assert_eq!(refused(arguments(1001, 1, 0.0)), "--members: 1001 members, but a consortium has 3 to 1000");
    assert_eq!(
        refused(arguments(3, (1 << 27) + 1, 0.0)),
        "--vector-len: the vector has more than 134217728 elements: raise max_vector in the policy or send less"
    );
    assert_eq!(
        refused(arguments(3, 1, 0.4)),
        "--drop: 2 of 3 members would be left, 3 are needed: lose at most 0"
    );
}
