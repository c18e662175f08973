//! Databases that are not UTF-8: events always are.

use pgevents_tests::lab::Lab;

use crate::psql;

#[tokio::test]
async fn a_latin1_database_sends_utf8() {
    let lab = Lab::with_encoding("LATIN1").await;
    lab.sql(
        "CREATE TYPE größe AS ENUM ('groß', 'klein');
         CREATE TABLE straße (id int PRIMARY KEY, näme text, data jsonb, words text[], size größe, \"char\" char(4));
         ALTER TABLE straße REPLICA IDENTITY FULL",
    )
    .await;
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.producer().env("PGTABLES", "public.straße").start();
    lab.sql(r#"INSERT INTO straße VALUES (1, 'café ÿ', '{"ß": "é"}', '{é,a}', 'groß', 'é')"#)
        .await;
    lab.sql("UPDATE straße SET näme = 'cafè ÿ'").await;
    let events = queue.take(2).await;
    assert_eq!(events[0].routing_key, "public.straße");
    let row = |name: &str| {
        format!(
            r#"{{"id":1,"näme":"{name}","data":{{"ß": "é"}},"words":["é","a"],"size":"groß","char":"é   "}}"#
        )
    };
    let [old, new] = [row("café ÿ"), row("cafè ÿ")];
    let expected = [
        format!(
            r#"{{"table_name":"public.straße","old":{{}},"new":{old},"id":1,"diff":{old},"action":"I"}}"#
        ),
        format!(
            r#"{{"table_name":"public.straße","old":{old},"new":{new},"id":1,"diff":{{"näme":"cafè ÿ"}},"action":"U"}}"#
        ),
    ];
    assert_eq!(events[0].text(), expected[0]);
    assert_eq!(events[1].text(), expected[1]);
    lab.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_utf8_in_a_sql_ascii_database_become_replacement_characters() {
    let lab = Lab::with_encoding("SQL_ASCII").await;
    // A client of tokio-postgres can send UTF-8 only; escapes make the other bytes.
    lab.sql(
        r#"DO $$ BEGIN
             EXECUTE E'CREATE TABLE "caf\351" (id int PRIMARY KEY, "\377" text, v varchar, j json, a text[])';
             EXECUTE E'ALTER TABLE "caf\351" REPLICA IDENTITY FULL';
           END $$"#,
    )
    .await;
    lab.create_slot().await;
    let mut queue = lab.queue().await;
    lab.producer().start();
    let insert = r#"DO $$ BEGIN
             EXECUTE E'INSERT INTO "caf\351" VALUES (1, E''A\\377B'', E''\\303\\251'', ''"x"'', ARRAY[E''\\300''])';
             EXECUTE E'UPDATE "caf\351" SET v = E''\\376''';
           END $$"#;
    lab.sql(insert).await;
    let row = |v: &str| {
        format!(
            "{{\"id\":1,\"\u{FFFD}\":\"A\u{FFFD}B\",\"v\":\"{v}\",\"j\":\"x\",\"a\":[\"\u{FFFD}\"]}}"
        )
    };
    let [old, new] = [row("é"), row("\u{FFFD}")];
    let expected = [
        format!(
            "{{\"table_name\":\"public.caf\u{FFFD}\",\"old\":{{}},\"new\":{old},\"id\":1,\"diff\":{old},\"action\":\"I\"}}"
        ),
        format!(
            "{{\"table_name\":\"public.caf\u{FFFD}\",\"old\":{old},\"new\":{new},\"id\":1,\"diff\":{{\"v\":\"\u{FFFD}\"}},\"action\":\"U\"}}"
        ),
    ];
    let events = queue.take(2).await;
    assert_eq!(events[0].text(), expected[0]);
    assert_eq!(events[1].text(), expected[1]);
    assert_eq!(events[0].routing_key, "public.caf\u{FFFD}");
    lab.stop_relays().await;
    lab.sql(insert.replace("VALUES (1", "VALUES (2").as_str())
        .await;
    assert_eq!(psql::events(&lab, "").await.len(), 3, "psql reads it too");
    lab.finish().await;
}
