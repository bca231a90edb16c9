//! All states.

use std::time::Instant;

use stateright::{Checker as _, Model as _};

use crate::rules::Rules;

#[test]
fn probe() {
    let env = |name: &str, or: usize| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(or);
    let rules = Rules::of(env("N", 4), env("C", 1), env("S", 3));
    let begun = Instant::now();
    let checker = rules.checker().target_state_count(env("STATES", 20_000_000)).spawn_dfs().join();
    println!(
        "{:?}: {} unique, {} generated, depth {}, {:?}",
        rules,
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed()
    );
    for (name, path) in checker.discoveries() {
        println!("{name}: {:?}", path.into_actions());
    }
    checker.assert_properties();
}
