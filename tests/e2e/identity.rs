//! What an event knows of the old row, for each replica identity and for large values.

use crate::contract::check;

#[tokio::test]
async fn under_default_the_old_row_is_the_key() {
    check(
        "CREATE TABLE users (id int PRIMARY KEY, full_name text);
         INSERT INTO users VALUES (1, 'a')",
        "UPDATE users SET full_name = 'b';
         UPDATE users SET id = 2;
         DELETE FROM users",
        &[
            r#"{"table_name":"public.users","old":{"id":1},"new":{"id":1,"full_name":"b"},"id":1,"diff":{"full_name":"b"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":1},"new":{"id":2,"full_name":"b"},"id":2,"diff":{"id":2,"full_name":"b"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":2},"new":{},"id":2,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn under_index_the_old_row_is_the_columns_of_the_index() {
    check(
        "CREATE TABLE users (id int PRIMARY KEY, mail text NOT NULL UNIQUE, full_name text);
         ALTER TABLE users REPLICA IDENTITY USING INDEX users_mail_key;
         INSERT INTO users VALUES (1, 'a@b', 'a')",
        "UPDATE users SET full_name = 'b';
         DELETE FROM users",
        &[
            r#"{"table_name":"public.users","old":{"mail":"a@b"},"new":{"id":1,"mail":"a@b","full_name":"b"},"id":1,"diff":{"id":1,"full_name":"b"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"mail":"a@b"},"new":{},"id":null,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn under_nothing_the_old_row_is_empty() {
    check(
        "CREATE TABLE users (id int PRIMARY KEY, full_name text);
         ALTER TABLE users REPLICA IDENTITY NOTHING;
         INSERT INTO users VALUES (1, 'a')",
        "UPDATE users SET full_name = NULL;
         DELETE FROM users",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"full_name":null},"id":1,"diff":{"id":1},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{},"new":{},"id":null,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_table_without_any_key_still_sends_its_changes() {
    check(
        "CREATE TABLE notes (body text); INSERT INTO notes VALUES ('a')",
        "UPDATE notes SET body = 'b'; DELETE FROM notes",
        &[
            r#"{"table_name":"public.notes","old":{},"new":{"body":"b"},"id":null,"diff":{"body":"b"},"action":"U"}"#,
            r#"{"table_name":"public.notes","old":{},"new":{},"id":null,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn the_id_is_the_primary_key_where_no_column_is_named_id() {
    check(
        "CREATE TABLE one (a text PRIMARY KEY, b int);
         CREATE TABLE two (a int, b text, c int, PRIMARY KEY (c, a));
         ALTER TABLE one REPLICA IDENTITY FULL; ALTER TABLE two REPLICA IDENTITY FULL",
        "INSERT INTO one VALUES ('k', 1); INSERT INTO two VALUES (1, 'x', 3)",
        &[
            r#"{"table_name":"public.one","old":{},"new":{"a":"k","b":1},"id":"k","diff":{"a":"k","b":1},"action":"I"}"#,
            r#"{"table_name":"public.two","old":{},"new":{"a":1,"b":"x","c":3},"id":{"c":3,"a":1},"diff":{"a":1,"b":"x","c":3},"action":"I"}"#,
        ],
    )
    .await;
}

/// 2 MB that PostgreSQL keeps outside the row and does not compress.
const DOCUMENTS: &str = "CREATE TABLE documents (id int PRIMARY KEY, title text, body text);
    ALTER TABLE documents ALTER COLUMN body SET STORAGE EXTERNAL;
    INSERT INTO documents SELECT 1, 'a', repeat(md5('x'), 65536)";

/// 65,536 times the MD5 sum of "x".
fn large_body() -> String {
    "9dd4e461268c8034f5c8564e155c67a6".repeat(65_536)
}

#[tokio::test]
async fn an_unchanged_large_value_is_filled_in_under_full() {
    let body = large_body();
    let expected = format!(
        r#"{{"table_name":"public.documents","old":{{"id":1,"title":"a","body":"{body}"}},"new":{{"id":1,"title":"b","body":"{body}"}},"id":1,"diff":{{"title":"b"}},"action":"U"}}"#
    );
    check(
        &format!("{DOCUMENTS}; ALTER TABLE documents REPLICA IDENTITY FULL"),
        "UPDATE documents SET title = 'b'",
        &[&expected],
    )
    .await;
}

#[tokio::test]
async fn an_unchanged_large_value_is_absent_under_default() {
    check(
        DOCUMENTS,
        "UPDATE documents SET title = 'b'",
        &[
            r#"{"table_name":"public.documents","old":{"id":1},"new":{"id":1,"title":"b"},"id":1,"diff":{"title":"b"},"action":"U"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_changed_large_value_is_in_the_diff() {
    let body = large_body();
    let expected = format!(
        r#"{{"table_name":"public.documents","old":{{"id":1,"title":"a","body":"{body}"}},"new":{{"id":1,"title":"a","body":"{body}!"}},"id":1,"diff":{{"body":"{body}!"}},"action":"U"}}"#
    );
    check(
        &format!("{DOCUMENTS}; ALTER TABLE documents REPLICA IDENTITY FULL"),
        "UPDATE documents SET body = body || '!'",
        &[&expected],
    )
    .await;
}
