//! What the owner of one table, or anybody who may log in, does not get out of the server process
//! that decodes: its time without end, its memory, an ERROR for all tables.

use pgevents_tests::lab::{Lab, memory_bytes};

use crate::psql;

/// An event of the table that others own.
const NEXT: &str =
    r#"{"table_name":"public.next","old":{},"new":{"id":1},"id":1,"diff":{"id":1},"action":"I"}"#;

/// Statements that give each of the types `{prefix}0` to `{prefix}N` ten attributes of the one
/// before: 10^N paths. From the outermost inwards, and after the tables, since the server itself
/// follows every path when it is asked to use such a type.
fn nest(prefix: &str, levels: u32, part: &str) -> String {
    (1..=levels)
        .rev()
        .flat_map(|level| (0..10).map(move |attribute| (level, attribute)))
        .map(|(level, attribute)| {
            let part = part.replace('?', &format!("{prefix}{}", level - 1));
            format!("ALTER TYPE {prefix}{level} ADD ATTRIBUTE c{attribute} {part};")
        })
        .collect()
}

#[tokio::test]
async fn types_that_contain_each_other_without_end_hold_nothing_up() {
    const LEVELS: u32 = 14;
    const DEPTH: u32 = 4_000;
    let lab = Lab::start().await;
    lab.sql(&format!(
        "DO $$ BEGIN
           FOR i IN 0..{DEPTH} LOOP EXECUTE format('CREATE TYPE deep%s AS (a int)', i); END LOOP;
           FOR i IN 0..{LEVELS} LOOP
             EXECUTE format('CREATE TYPE wide%s AS (a int)', i);
             EXECUTE format('CREATE TYPE many%s AS (a int)', i);
           END LOOP;
         END $$;
         CREATE TABLE odd (id int PRIMARY KEY, a wide{LEVELS}, b many{LEVELS}[], c deep{DEPTH},
                           d deep15, e deep16);
         ALTER TABLE odd REPLICA IDENTITY FULL;
         CREATE TABLE next (id int PRIMARY KEY)"
    ))
    .await;
    // As they are, as arrays, and one below the other deeper than a stack goes.
    lab.sql(&nest("wide", LEVELS, "?")).await;
    lab.sql(&nest("many", LEVELS, "?[]")).await;
    lab.sql(&format!(
        "DO $$ BEGIN FOR i IN REVERSE {DEPTH}..1 LOOP
           EXECUTE format('ALTER TYPE deep%s ADD ATTRIBUTE b deep%s', i, i - 1);
         END LOOP; END $$"
    ))
    .await;
    lab.sql(
        "INSERT INTO odd VALUES (1, NULL, NULL, NULL, '(1,)', NULL); INSERT INTO next VALUES (1)",
    )
    .await;
    lab.sql("SET statement_timeout = '20s'").await;
    let events = psql::events(&lab, "").await;
    assert_eq!(events.len(), 2);
    assert!(
        events[0].contains(r#""d":{"a":1,"b":null},"e":null"#),
        "{}",
        events[0]
    );
    assert_eq!(events[1], NEXT);
    lab.finish().await;
}

#[tokio::test]
async fn a_key_that_is_excluded_stays_excluded_and_stops_nobody() {
    let mut lab = Lab::start().await;
    lab.allow("updates and deletes come without the whole old row");
    lab.sql(
        "CREATE TABLE single (secret int PRIMARY KEY, note text);
         CREATE TABLE pair (a int, secret int, note text, PRIMARY KEY (a, secret));
         CREATE TABLE named (id int UNIQUE NOT NULL, secret int NOT NULL UNIQUE, note text);
         ALTER TABLE named REPLICA IDENTITY USING INDEX named_secret_key;
         CREATE TABLE id_only (id int PRIMARY KEY, note text);
         ALTER TABLE id_only REPLICA IDENTITY FULL;
         CREATE TABLE next (id int PRIMARY KEY);
         INSERT INTO single VALUES (41, 'a'); INSERT INTO pair VALUES (1, 41, 'a');
         INSERT INTO named VALUES (1, 41, 'a'); INSERT INTO id_only VALUES (41, 'a');
         UPDATE single SET secret = 42; UPDATE pair SET secret = 42;
         UPDATE named SET secret = 42; UPDATE id_only SET id = 42;
         DELETE FROM single; DELETE FROM pair; DELETE FROM named; DELETE FROM id_only;
         INSERT INTO next VALUES (1)",
    )
    .await;
    let excluded = "'exclude-columns', 'public.*.secret,public.id_only.id'";
    let events = psql::peek(&lab, excluded).await;
    let leaks: Vec<_> = events.iter().filter(|event| event.contains('4')).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
    let expected = [
        r#"{"table_name":"public.single","old":{},"new":{"note":"a"},"id":null,"diff":{"note":"a"},"action":"I"}"#,
        r#"{"table_name":"public.pair","old":{},"new":{"a":1,"note":"a"},"id":null,"diff":{"a":1,"note":"a"},"action":"I"}"#,
        r#"{"table_name":"public.named","old":{},"new":{"id":1,"note":"a"},"id":1,"diff":{"id":1,"note":"a"},"action":"I"}"#,
        r#"{"table_name":"public.id_only","old":{},"new":{"note":"a"},"id":null,"diff":{"note":"a"},"action":"I"}"#,
    ];
    assert_eq!(events[..4], expected);
    assert_eq!(events[12..], [NEXT]);
    lab.finish().await;
}

#[tokio::test]
async fn a_server_process_without_memory_ends_with_an_error_and_not_with_the_cluster() {
    const SIZES: u64 = 200;
    /// The first tries have no room at all, the last ones all that they need.
    const STEP: u64 = 144 * 1024;
    let mut lab = Lab::with_own_postgres("").await;
    lab.allow("out of memory");
    // The server's own words, where it has no memory to begin the replay.
    lab.allow("SubTransaction");
    lab.allow("could not");
    // Wide tables: their definitions are what the plugin keeps.
    lab.sql(
        "DO $$ BEGIN FOR t IN 1..12 LOOP
           EXECUTE format('CREATE TABLE wide_%s (id int PRIMARY KEY%s)', t,
             (SELECT string_agg(format(', quite_a_long_name_of_column_%s text', c), '')
                FROM generate_series(1, 1500) c));
         END LOOP; END $$",
    )
    .await;
    lab.create_slot().await;
    lab.sql(
        "DO $$ BEGIN FOR t IN 1..12 LOOP EXECUTE format('INSERT INTO wide_%s VALUES (1)', t);
         END LOOP; END $$",
    )
    .await;
    let query = format!(
        "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('{}', NULL, NULL)",
        lab.name()
    );
    let (mut whole, mut refused) = (0, 0);
    for size in 0..SIZES {
        let client = lab.postgres().connect(lab.name()).await.expect("connect");
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let pid: i32 = pid.expect("ask").get(0);
        let now = memory_bytes(pid, "VmSize").expect("the backend runs");
        // By the server's own user: nobody else may. The process may have ended meanwhile.
        let limit = async |soft: String| {
            let limit = format!("cat; prlimit --pid {pid} --as={soft}: || true");
            lab.sql(&format!("COPY (SELECT) TO PROGRAM '{limit}'"))
                .await;
        };
        limit((now + size * STEP).to_string()).await;
        let outcome = client.query_one(&query, &[]).await;
        // Whatever it was: the cluster lives, and with memory the same session goes on.
        lab.sql("SELECT").await;
        match outcome {
            Ok(_) => whole += 1,
            Err(error) if error.as_db_error().is_some() => {
                refused += 1;
                limit("unlimited".to_owned()).await;
                let again = client.query_one(&query, &[]).await;
                // A session that could not even start the statement may have been ended.
                if let Err(error) = again {
                    assert!(error.is_closed(), "{size}: {error:?}");
                }
            }
            Err(error) => assert!(error.is_closed(), "{size}: {error:?}"),
        }
    }
    println!("{whole} whole, {refused} refused");
    assert!(
        whole > 0 && refused > 20,
        "{whole} whole, {refused} refused"
    );
    lab.finish().await;
}
