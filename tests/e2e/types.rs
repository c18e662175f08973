//! Values of every kind, with the server's own `row_to_json` as the judge.

use pgevents_tests::lab::Lab;
use serde_json::Value;

/// The settings under which the contract says what `row_to_json` prints.
const SETTINGS: &str =
    "SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET DateStyle = 'ISO';
    SET extra_float_digits = 1; SET bytea_output = 'hex'";

/// One column of `declaration`, one row for each value (SQL text), compared with the server's
/// answer for the same row.
async fn check(declarations: &str, column: &str, values: &[&str]) {
    let lab = Lab::start().await;
    lab.sql(SETTINGS).await;
    lab.sql(declarations).await;
    lab.sql(&format!(
        "CREATE TABLE samples (id int PRIMARY KEY, value {column})"
    ))
    .await;
    lab.sql("ALTER TABLE samples REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    lab.producer().start();
    for (id, value) in values.iter().enumerate() {
        lab.sql(&format!("INSERT INTO samples VALUES ({id}, {value})"))
            .await;
    }
    for (id, value) in values.iter().enumerate() {
        let query = format!("SELECT row_to_json(s)::text FROM samples s WHERE id = {id}");
        let row = lab.row(&query).await;
        let expected: Value = serde_json::from_str(row.get(0)).expect("row_to_json is JSON");
        let event = queue.next().await;
        assert_eq!(event.json()["new"], expected, "{column} {value}");
    }
    lab.finish().await;
}

#[tokio::test]
async fn numbers() {
    check("", "smallint", &["-32768", "0", "32767", "NULL"]).await;
    check(
        "",
        "bigint",
        &[
            "-9223372036854775808",
            "9007199254740993",
            "9223372036854775807",
        ],
    )
    .await;
    check("", "oid", &["0", "4294967295"]).await;
    check(
        "",
        "numeric",
        &[
            "1.10",
            "0",
            "-0.00",
            "1e100",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "1e-30",
        ],
    )
    .await;
    check("", "money", &["12.34", "-1"]).await;
}

#[tokio::test]
async fn floats() {
    let values = [
        "0", "'-0'", "0.1", "1e15", "1e14", "1e-5", "0.0001", "1.5e300", "5e-324",
    ];
    check("", "float8", &values).await;
    check(
        "",
        "float8",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "9007199254740993",
            "2^63",
        ],
    )
    .await;
    check(
        "",
        "float4",
        &[
            "0.1", "1e6", "1e5", "16777216", "33554432", "1e-45", "'NaN'",
        ],
    )
    .await;
}

#[tokio::test]
async fn text_and_bytes() {
    let text = [
        "''",
        "'Åkerfeldt ☃ 𝄞'",
        r#"E'quote " backslash \\ slash / tab \t newline \n return \r'"#,
        r"E'\x01\x1f\x7f\b\f'",
        "repeat('long ', 100000)",
    ];
    check("", "text", &text).await;
    check("", "char(5)", &["'ab'"]).await;
    check("", "varchar(5)", &["'ab'"]).await;
    check("", "name", &["'ab'"]).await;
    check(
        "",
        "bytea",
        &["''", r"'\x00ff5c'", "decode(repeat('ab', 100000), 'hex')"],
    )
    .await;
    check("", "uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]).await;
}

#[tokio::test]
async fn moments() {
    let days = [
        "'2024-02-29'",
        "'0044-03-15 BC'",
        "'infinity'",
        "'-infinity'",
        "'12345-01-01'",
    ];
    check("", "date", &days).await;
    check(
        "",
        "time",
        &["'00:00'", "'24:00:00'", "'04:05:06.000007'", "'04:05:06.7'"],
    )
    .await;
    check("", "timetz", &["'04:05:06.7+05:30'"]).await;
    let moments = [
        "'2024-02-03 04:05:06.7'",
        "'infinity'",
        "'0001-01-01 BC'",
        "'294276-12-31'",
    ];
    check("", "timestamp", &moments).await;
    check(
        "",
        "timestamptz",
        &[
            "'2024-02-03 04:05:06.7+05:30'",
            "'-infinity'",
            "'0044-03-15 BC'",
        ],
    )
    .await;
    check(
        "",
        "interval",
        &["'1 year -2 days 03:04:05.6'", "'0'", "'-1 mon'"],
    )
    .await;
}

#[tokio::test]
async fn documents_and_compounds() {
    check("", "boolean", &["true", "false", "NULL"]).await;
    check(
        "",
        "json",
        &[
            r#"'{"b": [1, 2.0],  "a": null}'"#,
            "'null'",
            "'1.10'",
            r#"'"x"'"#,
        ],
    )
    .await;
    check(
        "",
        "jsonb",
        &[r#"'{"b": [1, 2.50], "a": null}'"#, "'[]'", "'1.10'"],
    )
    .await;
    check(
        "",
        "int[]",
        &["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'"],
    )
    .await;
    check("", "text[]", &[r#"ARRAY['a "b"', NULL, 'null', E'\n']"#]).await;
    check(
        "",
        "timestamptz[]",
        &["ARRAY['2024-02-03 04:05:06+05:30'::timestamptz, 'infinity']"],
    )
    .await;
    check("", "jsonb[]", &[r#"ARRAY['{"a": 1}'::jsonb]"#]).await;
    check(
        "CREATE TYPE point3 AS (x int, y float8, label text); CREATE TYPE line3 AS (a point3, b point3[])",
        "line3",
        &[r#"ROW(ROW(1, 2.5, 'a "b"')::point3, ARRAY[ROW(NULL, 'NaN', '')::point3])::line3"#],
    )
    .await;
}

#[tokio::test]
async fn domains_enums_and_the_rest() {
    let domain = "CREATE DOMAIN positive AS int CHECK (value > 0);
        CREATE DOMAIN small_positive AS positive CHECK (value < 10)";
    check(domain, "small_positive", &["7", "NULL"]).await;
    check("CREATE DOMAIN facts AS jsonb", "facts", &[r#"'{"a": 1}'"#]).await;
    check(
        "CREATE TYPE mood AS ENUM ('sad', 'so \"so\"')",
        "mood",
        &["'sad'", "'so \"so\"'"],
    )
    .await;
    check("", "int4range", &["'[1,5)'", "'empty'"]).await;
    check("", "inet", &["'192.168.0.1/24'", "'::1'"]).await;
    check("", "macaddr", &["'08:00:2b:01:02:03'"]).await;
    check("", "bit(5)", &["B'10101'"]).await;
    check("", "point", &["'(1,2)'"]).await;
    check("", "xml", &["'<a b=\"c\">d</a>'"]).await;
    check("", "tsvector", &["'a:1 b:2'"]).await;
    check("", "pg_lsn", &["'16/B374D848'"]).await;
    check("", "regclass", &["'pg_class'"]).await;
}
