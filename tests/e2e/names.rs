//! Names as PostgreSQL allows them, and tables as wide as it allows.

use pgevents_tests::lab::Lab;

use crate::contract::check;

/// 63 bytes, the most that a name may have, of 4-byte characters and three letters.
const LONGEST: &str = "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀abc";

#[tokio::test]
async fn names_with_dots_quotes_blanks_wildcards_and_emoji_arrive_as_they_are() {
    let names = [
        "with.dot",
        "with space",
        r#"with "quotes""#,
        r"with \backslash",
        "with*star",
        "with#hash",
        "with,comma",
        "with\ttab",
        "Größe",
        LONGEST,
    ];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let json = |text: &str| serde_json::to_string(text).expect("a string is JSON");
    let (mut setup, mut change, mut expected) = (String::new(), String::new(), Vec::new());
    for (number, name) in names.iter().enumerate() {
        let table = format!("{0}.{0}", quoted(name));
        setup.push_str(&format!(
            "CREATE SCHEMA {}; CREATE TABLE {table} ({} int PRIMARY KEY);
             ALTER TABLE {table} REPLICA IDENTITY FULL;",
            quoted(name),
            quoted(name),
        ));
        change.push_str(&format!("INSERT INTO {table} VALUES ({number});"));
        expected.push(format!(
            r#"{{"table_name":{},"old":{{}},"new":{{{key}:{number}}},"id":{number},"diff":{{{key}:{number}}},"action":"I"}}"#,
            json(&format!("{name}.{name}")),
            key = json(name),
        ));
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let events = check(&setup, &change, &expected).await;
    for (event, name) in events.iter().zip(names) {
        assert_eq!(event.routing_key, format!("{name}.{name}"));
    }
}

#[tokio::test]
async fn tables_with_such_names_can_be_asked_for() {
    let lab = Lab::start().await;
    let tables = r#"public."a.b", public."say ""hi""", public.c\,d, public.🦀*"#;
    let wanted = [r#""a.b""#, r#""say ""hi""""#, r#""c,d""#, r#""🦀🦀""#];
    for table in wanted.iter().chain(&["a", "b", "c", "d"]) {
        lab.sql(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY); ALTER TABLE {table} REPLICA IDENTITY FULL"
        ))
        .await;
    }
    let mut queue = lab.queue().await;
    lab.producer().env("PGTABLES", tables).start();
    for table in ["a", "b", "c", "d"].iter().chain(&wanted) {
        lab.sql(&format!("INSERT INTO {table} VALUES (1)")).await;
    }
    let events = queue.take(wanted.len()).await;
    let keys: Vec<&str> = events
        .iter()
        .map(|event| event.routing_key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "public.a.b",
            r#"public.say "hi""#,
            "public.c,d",
            "public.🦀🦀"
        ]
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_table_of_1600_columns_arrives_complete() {
    /// PostgreSQL's MaxHeapAttributeNumber.
    const COLUMNS: usize = 1_600;
    let list = |each: &dyn Fn(usize) -> String, between: &str| -> String {
        (1..=COLUMNS).map(each).collect::<Vec<_>>().join(between)
    };
    let columns = list(&|i| format!("c{i} smallint"), ", ");
    let values = list(&|i| i.to_string(), ", ");
    let before = list(&|i| format!(r#""c{i}":{i}"#), ",");
    let after = list(
        &|i| format!(r#""c{i}":{}"#, if i == COLUMNS { 0 } else { i }),
        ",",
    );
    check(
        &format!("CREATE TABLE wide ({columns}); ALTER TABLE wide REPLICA IDENTITY FULL"),
        &format!("INSERT INTO wide VALUES ({values}); UPDATE wide SET c{COLUMNS} = 0; DELETE FROM wide"),
        &[
            &format!(r#"{{"table_name":"public.wide","old":{{}},"new":{{{before}}},"id":null,"diff":{{{before}}},"action":"I"}}"#),
            &format!(r#"{{"table_name":"public.wide","old":{{{before}}},"new":{{{after}}},"id":null,"diff":{{"c1600":0}},"action":"U"}}"#),
            &format!(r#"{{"table_name":"public.wide","old":{{{after}}},"new":{{}},"id":null,"diff":{{}},"action":"D"}}"#),
        ],
    )
    .await;
}
