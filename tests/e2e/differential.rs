//! Random schemas and changes, compared with what PostgreSQL itself says of each row.

use pgevents_tests::{differential, lab::Lab};

/// Seeds of every run; `cargo dev differential` goes through any number of others.
const SEEDS: std::ops::Range<u64> = 0..12;

#[tokio::test]
async fn events_are_what_row_to_json_says_over_random_schemas_and_changes() {
    let mut compared = 0;
    for seed in SEEDS {
        let lab = Lab::start().await;
        let client = lab.postgres().connect(lab.name()).await.expect("connect");
        match differential::run(&client, lab.name(), seed).await {
            Ok(changes) => compared += changes,
            Err(difference) => panic!("{difference}"),
        }
        drop(client);
        lab.finish().await;
    }
    println!("{compared} changes of {} seeds compared", SEEDS.count());
    assert!(
        compared > 500,
        "only {compared} changes: the campaign does too little"
    );
}
