//! The short forms of `cargo dev endurance`.

use pgevents_tests::endurance;
use pgevents_tests::lab::Lab;

#[tokio::test]
async fn a_large_transaction_is_sent_within_little_memory_and_again_when_the_relay_is_killed() {
    let mut lab = Lab::start().await;
    println!(
        "{}",
        endurance::large_transaction(&mut lab, 40_000, 1_900).await
    );
    lab.finish().await;
}

#[tokio::test]
async fn an_idle_slot_lets_go_of_the_wal_of_other_databases() {
    let mut lab = Lab::with_own_postgres("").await;
    println!("{}", endurance::other_database(&mut lab, 160 << 20).await);
    lab.finish().await;
}

#[tokio::test]
async fn a_transaction_that_nobody_wants_does_not_end_the_stream() {
    let mut lab = Lab::without_slot().await;
    println!(
        "{}",
        endurance::unwanted_transaction(&mut lab, 200_000).await
    );
    lab.finish().await;
}
