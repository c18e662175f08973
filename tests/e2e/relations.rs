//! Kinds of tables: which of them send their rows, and under which name.

use crate::contract::{check, check_each};

#[tokio::test]
async fn refreshing_a_materialized_view_is_no_event() {
    check_each(
        "CREATE TABLE users (id int PRIMARY KEY);
         CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS id FROM users;
         CREATE UNIQUE INDEX ON counts (id)",
        &[
            "INSERT INTO users VALUES (1)",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY counts",
            "REFRESH MATERIALIZED VIEW counts",
        ],
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1},"id":1,"diff":{"id":1},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn tables_that_are_not_in_the_wal_send_nothing() {
    check(
        "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",
        "CREATE TEMP TABLE temporary (id int PRIMARY KEY);
         INSERT INTO unlogged VALUES (1); INSERT INTO temporary VALUES (1);
         UPDATE unlogged SET id = 2; UPDATE temporary SET id = 2;
         DELETE FROM unlogged; DELETE FROM temporary;
         CREATE SEQUENCE numbers; SELECT nextval('numbers');
         SELECT lo_unlink(lo_from_bytea(0, 'large object'))",
        &[],
    )
    .await;
}

#[tokio::test]
async fn a_row_of_a_child_table_goes_by_the_name_of_the_child() {
    check(
        "CREATE TABLE cities (id int, name text); CREATE TABLE capitals (country text) INHERITS (cities);
         ALTER TABLE cities REPLICA IDENTITY FULL; ALTER TABLE capitals REPLICA IDENTITY FULL",
        "INSERT INTO cities VALUES (1, 'a'); INSERT INTO capitals VALUES (2, 'b', 'c');
         UPDATE cities SET name = 'd' WHERE id = 2; DELETE FROM cities",
        &[
            r#"{"table_name":"public.cities","old":{},"new":{"id":1,"name":"a"},"id":1,"diff":{"id":1,"name":"a"},"action":"I"}"#,
            r#"{"table_name":"public.capitals","old":{},"new":{"id":2,"name":"b","country":"c"},"id":2,"diff":{"id":2,"name":"b","country":"c"},"action":"I"}"#,
            r#"{"table_name":"public.capitals","old":{"id":2,"name":"b","country":"c"},"new":{"id":2,"name":"d","country":"c"},"id":2,"diff":{"name":"d"},"action":"U"}"#,
            r#"{"table_name":"public.cities","old":{"id":1,"name":"a"},"new":{},"id":1,"diff":{},"action":"D"}"#,
            r#"{"table_name":"public.capitals","old":{"id":2,"name":"d","country":"c"},"new":{},"id":2,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn stored_generated_columns_are_values_like_others() {
    check(
        "CREATE TABLE boxes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, width int,
           area int GENERATED ALWAYS AS (width * width) STORED);
         ALTER TABLE boxes REPLICA IDENTITY FULL",
        "INSERT INTO boxes (width) VALUES (3); UPDATE boxes SET width = 4; UPDATE boxes SET width = -4",
        &[
            r#"{"table_name":"public.boxes","old":{},"new":{"id":1,"width":3,"area":9},"id":1,"diff":{"id":1,"width":3,"area":9},"action":"I"}"#,
            r#"{"table_name":"public.boxes","old":{"id":1,"width":3,"area":9},"new":{"id":1,"width":4,"area":16},"id":1,"diff":{"width":4,"area":16},"action":"U"}"#,
            r#"{"table_name":"public.boxes","old":{"id":1,"width":4,"area":16},"new":{"id":1,"width":-4,"area":16},"id":1,"diff":{"width":-4},"action":"U"}"#,
        ],
    )
    .await;
}

/// PostgreSQL takes no deferrable key for the identity, so nothing of the old row is in the WAL;
/// the key names the row all the same.
#[tokio::test]
async fn a_deferrable_primary_key_is_the_id_and_no_identity() {
    check(
        "CREATE TABLE seats (place text, number int, PRIMARY KEY (number, place) DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO seats VALUES ('a', 1), ('b', 2);
         BEGIN; UPDATE seats SET place = 'b', number = 2 WHERE number = 1;
         DELETE FROM seats WHERE ctid = '(0,2)'; COMMIT",
        &[
            r#"{"table_name":"public.seats","old":{},"new":{"place":"a","number":1},"id":{"number":1,"place":"a"},"diff":{"place":"a","number":1},"action":"I"}"#,
            r#"{"table_name":"public.seats","old":{},"new":{"place":"b","number":2},"id":{"number":2,"place":"b"},"diff":{"place":"b","number":2},"action":"I"}"#,
            r#"{"table_name":"public.seats","old":{},"new":{"place":"b","number":2},"id":{"number":2,"place":"b"},"diff":{"place":"b","number":2},"action":"U"}"#,
            r#"{"table_name":"public.seats","old":{},"new":{},"id":null,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}
