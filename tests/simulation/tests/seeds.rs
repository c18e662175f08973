//! Seeds that every run of the tests tries; `cargo dev simulate` tries as many as one likes.

use pgevents_simulation::{Tally, World};

#[test]
fn three_thousand_seeds_break_no_promise() {
    let mut sum = Tally::default();
    for seed in 0..3_000 {
        match World::run(seed, false) {
            Ok(tally) => sum += tally,
            Err(_) => panic!("{}", World::run(seed, true).expect_err("fails again")),
        }
    }
    println!("{sum}");
    // What never happens proves nothing.
    let seen = [sum.repeated, sum.refused, sum.cuts, sum.crashes, sum.stops];
    assert!(seen.iter().all(|count| *count > 500), "{sum}");
}

#[test]
fn a_seed_makes_the_same_run_again() {
    let runs = [World::run(42, false), World::run(42, false)];
    assert_eq!(runs[0], runs[1]);
}
