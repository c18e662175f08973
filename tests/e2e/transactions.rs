//! Transactions that end in other ways than by one COMMIT.

use pgevents_tests::lab::Lab;

use crate::contract::{check, check_each};
use crate::sequence::number_of;

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, name text);
    ALTER TABLE users REPLICA IDENTITY FULL";

fn inserted(id: u32) -> String {
    format!(
        r#"{{"table_name":"public.users","old":{{}},"new":{{"id":{id},"name":"x"}},"id":{id},"diff":{{"id":{id},"name":"x"}},"action":"I"}}"#
    )
}

#[tokio::test]
async fn a_prepared_transaction_arrives_when_it_is_committed() {
    let expected = [3, 1, 2, 5].map(inserted);
    check_each(
        USERS,
        &[
            "BEGIN; INSERT INTO users VALUES (1, 'x'); INSERT INTO users VALUES (2, 'x');
             PREPARE TRANSACTION 'a_prepared_transaction'",
            "INSERT INTO users VALUES (3, 'x')",
            "BEGIN; INSERT INTO users VALUES (4, 'x'); PREPARE TRANSACTION 'one_that_is_undone'",
            "COMMIT PREPARED 'a_prepared_transaction'",
            "ROLLBACK PREPARED 'one_that_is_undone'",
            "INSERT INTO users VALUES (5, 'x')",
        ],
        &expected.each_ref().map(String::as_str),
    )
    .await;
}

/// PostgreSQL keeps 64 subtransactions of a transaction in memory that others see; more take
/// another way into the WAL.
#[tokio::test]
async fn of_200_subtransactions_those_that_were_not_rolled_back_arrive_in_order() {
    let kept: Vec<String> = (1..=200).filter(|i| i % 3 != 0).map(inserted).collect();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    check(
        USERS,
        "DO $$ BEGIN FOR i IN 1..200 LOOP
           BEGIN
             INSERT INTO users VALUES (i, 'x');
             IF i % 3 = 0 THEN RAISE 'undone'; END IF;
           EXCEPTION WHEN raise_exception THEN NULL;
           END;
         END LOOP; END $$",
        &kept,
    )
    .await;
}

#[tokio::test]
async fn savepoints_within_savepoints_are_undone_with_them() {
    let expected = [1, 5].map(inserted);
    check(
        USERS,
        "BEGIN; INSERT INTO users VALUES (1, 'x');
         SAVEPOINT a; INSERT INTO users VALUES (2, 'x');
         SAVEPOINT b; INSERT INTO users VALUES (3, 'x'); RELEASE b;
         INSERT INTO users VALUES (4, 'x'); ROLLBACK TO a;
         INSERT INTO users VALUES (5, 'x'); COMMIT",
        &expected.each_ref().map(String::as_str),
    )
    .await;
}

/// A transaction whose commit record begins exactly where the acknowledged position is: a session
/// that starts one byte behind it would never see it.
#[tokio::test]
async fn a_transaction_that_commits_right_behind_the_acknowledged_position_arrives() {
    let mut lab = Lab::with_own_postgres("autovacuum = off").await;
    lab.allow("terminating connection due to administrator command");
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.sql("CREATE TABLE orders (id bigint PRIMARY KEY)").await;
    lab.sql("ALTER TABLE orders REPLICA IDENTITY FULL").await;
    let relay = lab.producer().start();
    let other = lab.postgres().connect(lab.name()).await.expect("connect");
    let begun = other.batch_execute("BEGIN; INSERT INTO orders VALUES (2)");
    begun.await.expect("open a transaction");
    lab.sql("INSERT INTO orders VALUES (1)").await;
    assert_eq!(number_of(&queue.next().await), 1);
    lab.everything_is_acknowledged().await;
    let from = relay.process().stderr().len();
    lab.sql(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        lab.name()
    ))
    .await;
    relay.logs_after(from, "streaming").await;
    let committed = other.batch_execute("COMMIT");
    committed.await.expect("commit the transaction");
    lab.sql("INSERT INTO orders VALUES (3)").await;
    for id in [2, 3] {
        assert_eq!(number_of(&queue.next().await), id);
    }
    lab.finish().await;
}
