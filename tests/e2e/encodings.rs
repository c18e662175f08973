//! Databases that are not UTF-8: events always are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use pgevents_tests::lab::{Lab, Process};
use rustix::process::Signal;

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

#[tokio::test]
async fn a_byte_without_a_counterpart_costs_that_byte_and_not_the_value() {
    // 0x81 is no character of WIN1252, and the two bytes of EUC_JP are none that UTF-8 has.
    for (encoding, bad, lost) in [("WIN1252", r"\\201", 1), ("EUC_JP", r"\\251\\241", 2)] {
        let lab = Lab::with_encoding(encoding).await;
        lab.sql(
            "CREATE TABLE notes (id int PRIMARY KEY, t text, v varchar, c char(4), n name, j json,
               b jsonb, a text[], long text);
             ALTER TABLE notes REPLICA IDENTITY FULL",
        )
        .await;
        lab.create_slot().await;
        lab.sql(&format!(
            r#"DO $$ BEGIN EXECUTE E'INSERT INTO notes VALUES (1, E''a{bad}b'', E''{bad}'', E''{bad}'',
                 E''a{bad}'', E''{{"k": "{bad}b"}}'', E''{{"k": "{bad}b"}}'', ARRAY[E''{bad}b''],
                 repeat(E''{bad}'' || repeat(''y'', 9), 20000))'; END $$"#
        ))
        .await;
        let mut queue = lab.queue().await;
        lab.producer().start();
        let found = queue.next().await.json();
        let bad = "\u{FFFD}".repeat(lost);
        let pad = " ".repeat(3);
        let expected = serde_json::json!({
            "id": 1, "t": format!("a{bad}b"), "v": bad, "c": format!("{bad}{pad}"),
            "n": format!("a{bad}"), "j": {"k": format!("{bad}b")}, "b": {"k": format!("{bad}b")},
            "a": [format!("{bad}b")], "long": format!("{bad}yyyyyyyyy").repeat(20_000),
        });
        assert_eq!(found["new"], expected, "{encoding}");
        assert_eq!(found["diff"], expected, "{encoding}");
        lab.finish().await;
    }
}

/// What `pg_recvlogical` prints first of the lab's slot, or what it says when it is refused;
/// `tables` as bytes, as a terminal of another encoding would send them.
async fn received(
    lab: &Lab,
    tables: &[u8],
    client_encoding: Option<&str>,
) -> Result<String, String> {
    let mut command = lab.postgres().program("pg_recvlogical", lab.name());
    let option = [b"tables=".as_slice(), tables].concat();
    command
        .args([
            "--slot",
            lab.name(),
            "--start",
            "--no-loop",
            "-f",
            "-",
            "-o",
            "format=json",
            "-o",
        ])
        .arg(OsStr::from_bytes(&option));
    if let Some(encoding) = client_encoding {
        command.env("PGCLIENTENCODING", encoding);
    }
    let process = Process::start("pg_recvlogical", &mut command, Signal::INT).expect("start");
    let printed = process
        .line(process.stdout(), 0, "an event", |_| true)
        .await;
    let outcome = match printed {
        Ok((_, line)) => Ok(line),
        Err(_) => Err(process.stderr().since(0).join("\n")),
    };
    drop(process);
    lab.slot_is_free().await;
    outcome
}

/// What psql prints of the lab's slot; `tables` as above.
fn shown(lab: &Lab, tables: &[u8], client_encoding: &str) -> Result<Vec<u8>, String> {
    let query = [
        b"SELECT data FROM pg_logical_slot_peek_changes('".as_slice(),
        lab.name().as_bytes(),
        b"', NULL, NULL, 'format', 'json', 'tables', '",
        tables,
        b"')",
    ]
    .concat();
    let mut command = lab.postgres().program("psql", lab.name());
    command
        .args(["-X", "-q", "-A", "-t", "-c"])
        .arg(OsStr::from_bytes(&query))
        .env("PGCLIENTENCODING", client_encoding);
    let output = command.output().expect("run psql");
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn in_a_latin1_database_tables_are_found_in_the_encoding_that_the_session_says() {
    let mut lab = Lab::with_encoding("LATIN1").await;
    lab.allow("was sent as UTF-8, but client_encoding of this session is LATIN1");
    lab.sql("CREATE TABLE café (id int PRIMARY KEY); CREATE TABLE cafes (id int PRIMARY KEY)")
        .await;
    lab.create_slot().await;
    lab.sql("INSERT INTO cafes VALUES (1); INSERT INTO café VALUES (2)")
        .await;
    let (latin1, utf8) = (b"public.caf\xE9".as_slice(), "public.café".as_bytes());
    for (bytes, encoding) in [(latin1, "LATIN1"), (utf8, "UTF8")] {
        let event = shown(&lab, bytes, encoding).expect("psql reads it");
        assert!(event.ends_with(b"\"action\":\"I\"}\n"), "{event:?}");
        let expected = [b"{\"table_name\":\"".as_slice(), bytes].concat();
        assert!(event.starts_with(&expected), "{event:?}");
    }
    for (bytes, encoding) in [
        (latin1, Some("LATIN1")),
        (latin1, None),
        (utf8, Some("UTF8")),
    ] {
        let event = received(&lab, bytes, encoding).await;
        let event = event.expect("pg_recvlogical reads it");
        assert!(event.contains(r#""new":{"id":2}"#), "{event}");
    }
    // UTF-8 in a session that says something else would match nothing.
    let mut refusals = vec![shown(&lab, utf8, "LATIN1").expect_err("refused")];
    refusals.push(received(&lab, utf8, None).await.expect_err("refused"));
    for refusal in refusals {
        assert!(
            refusal.contains("client_encoding") && refusal.contains("PGCLIENTENCODING=UTF8"),
            "{refusal}"
        );
    }
    lab.finish().await;
}

#[tokio::test]
async fn in_a_sql_ascii_database_tables_are_found_by_their_bytes() {
    let lab = Lab::with_encoding("SQL_ASCII").await;
    lab.sql(
        r#"DO $$ BEGIN EXECUTE E'CREATE TABLE "caf\351" (id int PRIMARY KEY)'; END $$;
           CREATE TABLE café (id int PRIMARY KEY); CREATE TABLE cafes (id int PRIMARY KEY)"#,
    )
    .await;
    lab.create_slot().await;
    lab.sql(
        r#"INSERT INTO cafes VALUES (1); INSERT INTO café VALUES (2);
           DO $$ BEGIN EXECUTE E'INSERT INTO "caf\351" VALUES (3)'; END $$"#,
    )
    .await;
    for (bytes, id) in [("public.café".as_bytes(), 2), (b"public.caf\xE9", 3)] {
        let row = format!(r#""new":{{"id":{id}}}"#);
        for encoding in ["SQL_ASCII", "UTF8", "LATIN1"] {
            // The server checks what is said to be UTF-8.
            if encoding == "UTF8" && id == 3 {
                continue;
            }
            let events = shown(&lab, bytes, encoding).expect("psql reads it");
            let events = String::from_utf8_lossy(&events).into_owned();
            assert_eq!(events.lines().count(), 1, "{events}");
            assert!(events.contains(&row), "{events}");
        }
        let event = received(&lab, bytes, None).await;
        let event = event.expect("pg_recvlogical reads it");
        assert!(event.contains(&row), "{event}");
    }
    lab.finish().await;
}
