//! Seeds that every run of the tests tries; `cargo dev simulate` tries as many as one likes.

use std::{ops::Range, thread};

use pgevents_simulation::{Tally, run};

#[test]
fn three_thousand_seeds_break_no_promise() {
    let halves = [0..1_500, 1_500..3_000].map(|seeds| thread::spawn(|| all(seeds)));
    let mut sum = Tally::default();
    for half in halves {
        sum += half.join().expect("no promise is broken");
    }
    println!("{sum}");
    // What never happens proves nothing.
    let seen = [sum.repeated, sum.refused, sum.cuts, sum.crashes, sum.stops];
    assert!(seen.iter().all(|count| *count > 500), "{sum}");
}

fn all(seeds: Range<u64>) -> Tally {
    let mut sum = Tally::default();
    for seed in seeds {
        match run(seed, false) {
            Ok(tally) => sum += tally,
            Err(_) => panic!("{}", run(seed, true).expect_err("fails again")),
        }
    }
    sum
}

#[test]
fn a_seed_makes_the_same_run_again() {
    let runs = [run(42, false), run(42, false)];
    assert_eq!(runs[0], runs[1]);
}
