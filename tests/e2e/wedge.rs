//! Data that cannot be sent does not stop what comes after it: a slot is never wedged.

use pgevents_tests::lab::Lab;

use crate::contract::check;
use crate::psql;

/// A type that accepts every text and fails to print it: `pg_node_tree_in` refuses any input.
const UNREADABLE: &str = "CREATE TYPE bad;
    CREATE FUNCTION bad_in(cstring) RETURNS bad LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION bad_out(bad) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT
        AS 'pg_node_tree_in';
    CREATE TYPE bad (INPUT = bad_in, OUTPUT = bad_out, LIKE = text)";

/// A type whose output function is in a library that is not there, as after `DROP EXTENSION` and
/// the removal of its package, while the WAL still has rows.
const LIBRARY_GONE: &str = "CREATE TYPE gone;
    CREATE FUNCTION gone_in(cstring) RETURNS gone LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION gone_out(gone) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
    CREATE TYPE gone (INPUT = gone_in, OUTPUT = gone_out, LIKE = text);
    UPDATE pg_proc SET probin = '$libdir/no_such_library', prosrc = 'gone_out',
            prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
        WHERE proname = 'gone_out'";

#[tokio::test]
async fn a_value_above_the_limit_becomes_a_marker_and_the_next_row_flows() {
    let lab = Lab::without_slot().await;
    lab.sql(
        "CREATE TABLE notes (id int PRIMARY KEY, body text, data jsonb, raw bytea);
         ALTER TABLE notes REPLICA IDENTITY FULL",
    )
    .await;
    lab.create_slot().await;
    lab.sql(
        "INSERT INTO notes VALUES (1, repeat('é', 501), '[1]', '\\x00'), (2, repeat('é', 500), NULL, NULL)",
    )
    .await;
    lab.sql(
        "UPDATE notes SET body = 'short', raw = decode(repeat('00', 1001), 'hex') WHERE id = 1",
    )
    .await;
    lab.sql("DELETE FROM notes WHERE id = 1").await;
    lab.sql("INSERT INTO notes VALUES (3, 'next')").await;
    let omitted = |bytes: u64| format!(r#"{{"pgevents_omitted":"too_large","bytes":{bytes}}}"#);
    let first = format!(
        r#"{{"id":1,"body":{},"data":[1],"raw":"\\x00"}}"#,
        omitted(1002)
    );
    let second = format!(
        r#"{{"id":1,"body":"short","data":[1],"raw":{}}}"#,
        omitted(1001)
    );
    let change = format!(r#"{{"body":"short","raw":{}}}"#, omitted(1001));
    let fits = "é".repeat(500);
    assert_eq!(
        psql::events(&lab, "'max-value-bytes', '1000'").await,
        [
            format!(r#"{{"table_name":"public.notes","old":{{}},"new":{first},"id":1,"diff":{first},"action":"I"}}"#),
            format!(r#"{{"table_name":"public.notes","old":{{}},"new":{{"id":2,"body":"{fits}","data":null,"raw":null}},"id":2,"diff":{{"id":2,"body":"{fits}"}},"action":"I"}}"#),
            format!(r#"{{"table_name":"public.notes","old":{first},"new":{second},"id":1,"diff":{change},"action":"U"}}"#),
            format!(r#"{{"table_name":"public.notes","old":{second},"new":{{}},"id":1,"diff":{{}},"action":"D"}}"#),
            r#"{"table_name":"public.notes","old":{},"new":{"id":3,"body":"next","data":null,"raw":null},"id":3,"diff":{"id":3,"body":"next"},"action":"I"}"#.to_owned(),
        ]
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_value_of_256_mb_becomes_a_marker_and_the_next_row_flows() {
    let marker = r#"{"pgevents_omitted":"too_large","bytes":268435456}"#;
    let row = |id: u32| format!(r#"{{"id":{id},"body":{marker}}}"#);
    let [first, second] = [row(1), row(2)];
    check(
        "CREATE TABLE documents (id int PRIMARY KEY, body text);
         ALTER TABLE documents REPLICA IDENTITY FULL",
        "INSERT INTO documents VALUES (1, repeat('x', 268435456));
         UPDATE documents SET id = 2;
         UPDATE documents SET body = 'small';
         INSERT INTO documents VALUES (3, 'next')",
        &[
            &format!(r#"{{"table_name":"public.documents","old":{{}},"new":{first},"id":1,"diff":{first},"action":"I"}}"#),
            &format!(r#"{{"table_name":"public.documents","old":{first},"new":{second},"id":2,"diff":{{"id":2}},"action":"U"}}"#),
            &format!(r#"{{"table_name":"public.documents","old":{second},"new":{{"id":2,"body":"small"}},"id":2,"diff":{{"body":"small"}},"action":"U"}}"#),
            r#"{"table_name":"public.documents","old":{},"new":{"id":3,"body":"next"},"id":3,"diff":{"id":3,"body":"next"},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_type_whose_library_is_gone_becomes_a_marker_and_the_next_row_flows() {
    let marker = r#"{"pgevents_omitted":"unreadable","bytes":0}"#;
    let row = format!(r#"{{"id":1,"gone":{marker},"many":{marker},"note":"a"}}"#);
    check(
        &format!(
            "{LIBRARY_GONE}; CREATE TABLE odd (id int PRIMARY KEY, gone gone, many gone[], note text);
             ALTER TABLE odd REPLICA IDENTITY FULL"
        ),
        "INSERT INTO odd VALUES (1, 'x', '{y}', 'a'), (2, NULL, NULL, 'b')",
        &[
            &format!(r#"{{"table_name":"public.odd","old":{{}},"new":{row},"id":1,"diff":{row},"action":"I"}}"#),
            r#"{"table_name":"public.odd","old":{},"new":{"id":2,"gone":null,"many":null,"note":"b"},"id":2,"diff":{"id":2,"note":"b"},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_value_that_its_type_cannot_print_becomes_a_marker_and_the_next_row_flows() {
    let marker = r#"{"pgevents_omitted":"unreadable","bytes":0}"#;
    let row = |id: u32| format!(r#"{{"id":{id},"bad":{marker},"bads":{marker},"note":"a"}}"#);
    let [first, second] = [row(1), row(2)];
    check(
        &format!(
            "{UNREADABLE}; CREATE TABLE odd (id int PRIMARY KEY, bad bad, bads bad[], note text);
             ALTER TABLE odd REPLICA IDENTITY FULL"
        ),
        "INSERT INTO odd VALUES (1, 'x', '{y}', 'a');
         UPDATE odd SET id = 2;
         DELETE FROM odd;
         INSERT INTO odd VALUES (3, NULL, NULL, 'next')",
        &[
            &format!(r#"{{"table_name":"public.odd","old":{{}},"new":{first},"id":1,"diff":{first},"action":"I"}}"#),
            &format!(r#"{{"table_name":"public.odd","old":{first},"new":{second},"id":2,"diff":{{"id":2}},"action":"U"}}"#),
            &format!(r#"{{"table_name":"public.odd","old":{second},"new":{{}},"id":2,"diff":{{}},"action":"D"}}"#),
            r#"{"table_name":"public.odd","old":{},"new":{"id":3,"bad":null,"bads":null,"note":"next"},"id":3,"diff":{"id":3,"note":"next"},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn jsonb_as_deep_as_the_server_takes_it_arrives_whole() {
    let mut lab = Lab::start().await;
    lab.allow("stack depth limit exceeded");
    lab.sql("CREATE TABLE deep (id int PRIMARY KEY, data jsonb, several jsonb[])")
        .await;
    let mut queue = lab.queue().await;
    lab.allow("updates and deletes come without the whole old row");
    // More than the walsender has: it must do with the server's default.
    lab.sql("SET max_stack_depth = '7MB'").await;
    let mut depth = 1_000;
    while lab
        .attempt(&format!(
            "INSERT INTO deep SELECT {depth}, data, ARRAY[data] FROM
               (SELECT (repeat('[', {depth}) || repeat(']', {depth}))::jsonb) AS made (data)"
        ))
        .await
        .is_ok()
    {
        depth *= 2;
    }
    assert!(depth >= 8_000, "refused at {depth}");
    lab.producer().start();
    let mut arrived = 1_000;
    while arrived < depth {
        let data = "[".repeat(arrived) + &"]".repeat(arrived);
        let row = format!(r#"{{"id":{arrived},"data":{data},"several":[{data}]}}"#);
        let expected = format!(
            r#"{{"table_name":"public.deep","old":{{}},"new":{row},"id":{arrived},"diff":{row},"action":"I"}}"#
        );
        assert_eq!(queue.next().await.text(), expected);
        arrived *= 2;
    }
    lab.finish().await;
}
