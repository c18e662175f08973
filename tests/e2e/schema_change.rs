//! Tables that change between and within transactions: each row has the shape of its moment.

use pgevents_tests::lab::Lab;

use crate::contract::{check, check_each};
use crate::psql;

#[tokio::test]
async fn rows_older_than_a_column_have_the_default_that_it_came_with() {
    check(
        "CREATE TABLE users (id int PRIMARY KEY, full_name text);
         ALTER TABLE users REPLICA IDENTITY FULL;
         INSERT INTO users VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 7, ADD COLUMN note text DEFAULT 'é';
         ALTER TABLE users ALTER COLUMN age SET DEFAULT 9, ALTER COLUMN note DROP DEFAULT;
         UPDATE users SET full_name = 'c' WHERE id = 1;
         DELETE FROM users WHERE id = 2;
         INSERT INTO users VALUES (3)",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"a","age":7,"note":"é"},"new":{"id":1,"full_name":"c","age":7,"note":"é"},"id":1,"diff":{"full_name":"c"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":2,"full_name":"b","age":7,"note":"é"},"new":{},"id":2,"diff":{},"action":"D"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":3,"full_name":null,"age":9,"note":null},"id":3,"diff":{"id":3,"age":9},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn dropped_columns_are_gone_from_old_and_new() {
    check(
        "CREATE TABLE users (gone int, id int PRIMARY KEY, lost text, full_name text);
         ALTER TABLE users REPLICA IDENTITY FULL;
         INSERT INTO users VALUES (0, 1, repeat('x', 10000), 'a')",
        "ALTER TABLE users DROP COLUMN gone, DROP COLUMN lost;
         UPDATE users SET full_name = 'b';
         ALTER TABLE users ADD COLUMN lost bool;
         UPDATE users SET lost = true;
         DELETE FROM users",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"a"},"new":{"id":1,"full_name":"b"},"id":1,"diff":{"full_name":"b"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"b","lost":null},"new":{"id":1,"full_name":"b","lost":true},"id":1,"diff":{"lost":true},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"full_name":"b","lost":true},"new":{},"id":1,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn renames_within_a_transaction_count_from_their_place_on() {
    check(
        "CREATE SCHEMA shop; CREATE SCHEMA other;
         CREATE TABLE shop.users (id int PRIMARY KEY, name text);
         ALTER TABLE shop.users REPLICA IDENTITY FULL",
        "BEGIN;
         INSERT INTO shop.users VALUES (1);
         ALTER TABLE shop.users RENAME COLUMN name TO full_name; INSERT INTO shop.users VALUES (2);
         ALTER TABLE shop.users RENAME TO people; INSERT INTO shop.people VALUES (3);
         ALTER SCHEMA shop RENAME TO store; INSERT INTO store.people VALUES (4);
         ALTER TABLE store.people SET SCHEMA other; INSERT INTO other.people VALUES (5);
         COMMIT;
         INSERT INTO other.people VALUES (6)",
        &[
            r#"{"table_name":"shop.users","old":{},"new":{"id":1,"name":null},"id":1,"diff":{"id":1},"action":"I"}"#,
            r#"{"table_name":"shop.users","old":{},"new":{"id":2,"full_name":null},"id":2,"diff":{"id":2},"action":"I"}"#,
            r#"{"table_name":"shop.people","old":{},"new":{"id":3,"full_name":null},"id":3,"diff":{"id":3},"action":"I"}"#,
            r#"{"table_name":"store.people","old":{},"new":{"id":4,"full_name":null},"id":4,"diff":{"id":4},"action":"I"}"#,
            r#"{"table_name":"other.people","old":{},"new":{"id":5,"full_name":null},"id":5,"diff":{"id":5},"action":"I"}"#,
            r#"{"table_name":"other.people","old":{},"new":{"id":6,"full_name":null},"id":6,"diff":{"id":6},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_schema_change_that_is_rolled_back_leaves_rows_as_they_were() {
    check(
        "CREATE TABLE users (id int PRIMARY KEY, name text); ALTER TABLE users REPLICA IDENTITY FULL",
        "BEGIN;
         INSERT INTO users VALUES (1, 'a');
         SAVEPOINT a;
         ALTER TABLE users RENAME TO people; ALTER TABLE people ADD COLUMN age int DEFAULT 1;
         INSERT INTO people VALUES (2, 'undone');
         ROLLBACK TO a;
         UPDATE users SET name = 'b';
         COMMIT",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"name":"a"},"id":1,"diff":{"id":1,"name":"a"},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"name":"a"},"new":{"id":1,"name":"b"},"id":1,"diff":{"name":"b"},"action":"U"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn rows_that_a_rewrite_of_the_table_copies_are_no_events() {
    check_each(
        "CREATE TABLE readings (id int PRIMARY KEY, n int, body text);
         ALTER TABLE readings ALTER COLUMN body SET STORAGE EXTERNAL;
         ALTER TABLE readings REPLICA IDENTITY FULL;
         INSERT INTO readings VALUES (1, 5, repeat('x', 3000)), (2, 6, 'short')",
        &[
            "BEGIN; UPDATE readings SET n = 7 WHERE id = 2;
             ALTER TABLE readings ALTER COLUMN n TYPE numeric(10, 2) USING n * 1.5;
             ALTER TABLE readings ALTER COLUMN body TYPE varchar(10) USING left(body, 10);
             UPDATE readings SET n = 1 WHERE id = 1; COMMIT",
            "ALTER TABLE readings SET UNLOGGED; ALTER TABLE readings SET LOGGED",
            "VACUUM FULL readings",
            "CLUSTER readings USING readings_pkey",
            "DELETE FROM readings WHERE id = 2",
        ],
        &[
            r#"{"table_name":"public.readings","old":{"id":2,"n":6,"body":"short"},"new":{"id":2,"n":7,"body":"short"},"id":2,"diff":{"n":7},"action":"U"}"#,
            r#"{"table_name":"public.readings","old":{"id":1,"n":7.50,"body":"xxxxxxxxxx"},"new":{"id":1,"n":1.00,"body":"xxxxxxxxxx"},"id":1,"diff":{"n":1.00},"action":"U"}"#,
            r#"{"table_name":"public.readings","old":{"id":2,"n":10.50,"body":"short"},"new":{},"id":2,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn the_identity_of_a_table_counts_from_its_change_on() {
    check(
        "CREATE TABLE users (id int PRIMARY KEY, mail text NOT NULL UNIQUE, age int);
         INSERT INTO users VALUES (1, 'm', 0)",
        "BEGIN;
         UPDATE users SET age = 1;
         ALTER TABLE users REPLICA IDENTITY USING INDEX users_mail_key; UPDATE users SET age = 2;
         ALTER TABLE users REPLICA IDENTITY NOTHING; UPDATE users SET age = 3;
         ALTER TABLE users REPLICA IDENTITY FULL; UPDATE users SET age = 4;
         COMMIT",
        &[
            r#"{"table_name":"public.users","old":{"id":1},"new":{"id":1,"mail":"m","age":1},"id":1,"diff":{"mail":"m","age":1},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"mail":"m"},"new":{"id":1,"mail":"m","age":2},"id":1,"diff":{"id":1,"age":2},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"mail":"m","age":3},"id":1,"diff":{"id":1,"mail":"m","age":3},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"mail":"m","age":3},"new":{"id":1,"mail":"m","age":4},"id":1,"diff":{"age":4},"action":"U"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn an_enum_made_and_extended_between_rows_has_its_labels() {
    let row = |id: u32, mood: &str| {
        format!(
            r#"{{"table_name":"public.people","old":{{}},"new":{{"id":{id},"mood":"{mood}","moods":["{mood}"]}},"id":{id},"diff":{{"id":{id},"mood":"{mood}","moods":["{mood}"]}},"action":"I"}}"#
        )
    };
    let expected = [
        row(1, "sad"),
        row(2, "blue"),
        row(3, "blue"),
        row(4, "glad"),
    ];
    // PostgreSQL lets no transaction use a label that it added to an enum.
    check(
        "CREATE TABLE before (id int PRIMARY KEY)",
        "BEGIN;
         CREATE TYPE mood AS ENUM ('sad');
         CREATE TABLE people (id int PRIMARY KEY, mood mood, moods mood[]);
         INSERT INTO people VALUES (1, 'sad', '{sad}');
         ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
         INSERT INTO people VALUES (2, 'blue', '{blue}');
         ALTER TYPE mood ADD VALUE 'glad' BEFORE 'blue';
         INSERT INTO people VALUES (3, 'blue', '{blue}');
         COMMIT;
         INSERT INTO people VALUES (4, 'glad', '{glad}')",
        &expected.each_ref().map(String::as_str),
    )
    .await;
}

#[tokio::test]
async fn an_index_made_concurrently_during_a_long_transaction_stops_nothing() {
    let lab = Lab::start().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY, mail text NOT NULL); ALTER TABLE users REPLICA IDENTITY FULL")
        .await;
    lab.sql("BEGIN; INSERT INTO users VALUES (1, 'a')").await;
    let builder = lab.postgres().connect(lab.name()).await.expect("connect");
    let index = tokio::spawn(async move {
        builder
            .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY users_mail ON users (mail)")
            .await
    });
    // The index is in the catalog, not valid yet, and its maker waits for this transaction.
    lab.sql(
        "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_index JOIN pg_class ON oid = indexrelid
           WHERE relname = 'users_mail' AND NOT indisvalid) LOOP PERFORM pg_stat_clear_snapshot();
         END LOOP; END $$",
    )
    .await;
    lab.sql("UPDATE users SET mail = 'b'; COMMIT").await;
    index.await.expect("joined").expect("the index is made");
    lab.sql(
        "ALTER TABLE users REPLICA IDENTITY USING INDEX users_mail; UPDATE users SET mail = 'c'",
    )
    .await;
    assert_eq!(
        psql::events(&lab, "").await,
        [
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"mail":"a"},"id":1,"diff":{"id":1,"mail":"a"},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"mail":"a"},"new":{"id":1,"mail":"b"},"id":1,"diff":{"mail":"b"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"mail":"b"},"new":{"id":1,"mail":"c"},"id":1,"diff":{"id":1,"mail":"c"},"action":"U"}"#,
        ]
    );
    lab.finish().await;
}
