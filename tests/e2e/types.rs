//! Values of every kind, with the server's own `row_to_json` as the judge.

use pgevents_tests::dist;
use pgevents_tests::lab::Lab;
use serde_json::{Value, json};

use crate::contract;

/// The settings under which the contract says what `row_to_json` prints.
const SETTINGS: &str =
    "SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET DateStyle = 'ISO';
    SET extra_float_digits = 1; SET bytea_output = 'hex'";

/// For each type a table with one row for each of its values (a SQL list of rows), and each row's
/// event compared with what the server prints for it.
async fn check(declarations: &str, cases: &[(&str, &str)]) {
    let lab = Lab::start().await;
    lab.sql(SETTINGS).await;
    lab.sql(declarations).await;
    let mut queue = lab.queue().await;
    lab.producer().start();
    for (number, (column, values)) in cases.iter().enumerate() {
        let table = format!("samples_{number}");
        lab.sql(&format!(
            "CREATE TABLE {table} (id serial PRIMARY KEY, value {column});
             ALTER TABLE {table} REPLICA IDENTITY FULL;
             INSERT INTO {table} (value) VALUES {values}"
        ))
        .await;
        let query = format!("SELECT row_to_json(t)::text FROM {table} t ORDER BY id");
        for row in lab.rows(&query).await {
            let expected: Value = serde_json::from_str(row.get(0)).expect("row_to_json is JSON");
            assert_eq!(queue.next().await.json()["new"], expected, "{column}");
        }
    }
    lab.finish().await;
}

/// The major version that the tests run on: each has the types of the ones before it, and more.
fn major() -> u32 {
    dist::Installation::find().expect("find PostgreSQL").major
}

#[tokio::test]
async fn numbers() {
    // An infinite numeric is new in 14.
    let not_finite = match major() {
        13 => "('NaN')",
        _ => "('NaN'), ('Infinity'), ('-Infinity')",
    };
    check(
        "",
        &[
            ("smallint", "(-32768), (0), (32767), (NULL)"),
            (
                "bigint",
                "(-9223372036854775808), (9007199254740993), (9223372036854775807)",
            ),
            ("oid", "(0), (4294967295)"),
            ("numeric", "(1.10), (0), (-0.00), (1e100), (1e-30)"),
            ("numeric", not_finite),
            ("money", "(12.34), (-1)"),
        ],
    )
    .await;
}

#[tokio::test]
async fn floats() {
    check(
        "",
        &[
            (
                "float8",
                "(0), ('-0'), (0.1), (1e15), (1e14), (1e-5), (0.0001), (1.5e300), (5e-324)",
            ),
            (
                "float8",
                "('NaN'), ('Infinity'), ('-Infinity'), (9007199254740993), (2^63)",
            ),
            (
                "float4",
                "(0.1), (1e6), (1e5), (16777216), (33554432), (1e-45), ('NaN')",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn text_and_bytes() {
    check(
        "",
        &[
            ("text", "(''), ('Åkerfeldt ☃ 𝄞'), (repeat('long ', 100000))"),
            (
                "text",
                r#"(E'quote " backslash \\ slash / tab \t newline \n return \r')"#,
            ),
            ("text", r"(E'\x01\x1f\x7f\b\f')"),
            ("char(5)", "('ab')"),
            ("varchar(5)", "('ab')"),
            ("name", "('ab')"),
            (
                "bytea",
                r"(''), ('\x00ff5c'), (decode(repeat('ab', 100000), 'hex'))",
            ),
            ("uuid", "('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')"),
        ],
    )
    .await;
}

#[tokio::test]
async fn moments() {
    check(
        "",
        &[
            (
                "date",
                "('2024-02-29'), ('0044-03-15 BC'), ('infinity'), ('-infinity'), ('12345-01-01')",
            ),
            (
                "time",
                "('00:00'), ('24:00:00'), ('04:05:06.000007'), ('04:05:06.7')",
            ),
            ("timetz", "('04:05:06.7+05:30')"),
            (
                "timestamp",
                "('2024-02-03 04:05:06.7'), ('infinity'), ('0001-01-01 BC'), ('294276-12-31')",
            ),
            (
                "timestamptz",
                "('2024-02-03 04:05:06.7+05:30'), ('-infinity'), ('0044-03-15 BC')",
            ),
            (
                "interval",
                "('1 year -2 days 03:04:05.6'), ('0'), ('-1 mon')",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn documents_and_compounds() {
    check("CREATE TYPE point3 AS (x int, y float8, label text);
         CREATE TYPE line3 AS (a point3, b point3[])", &[
        ("boolean", "(true), (false), (NULL)"),
        ("json", r#"('{"b": [1, 2.0],  "a": null}'), ('null'), ('1.10'), ('"x"')"#),
        ("jsonb", r#"('{"b": [1, 2.50], "a": null}'), ('[]'), ('1.10')"#),
        ("int[]", "('{}'), ('{1,NULL,3}'), ('{{1,2},{3,4}}'), ('[0:1]={1,2}')"),
        ("text[]", r#"(ARRAY['a "b"', NULL, 'null', E'\n'])"#),
        ("timestamptz[]", "(ARRAY['2024-02-03 04:05:06+05:30'::timestamptz, 'infinity'])"),
        ("jsonb[]", r#"(ARRAY['{"a": 1}'::jsonb])"#),
        ("line3", r#"(ROW(ROW(1, 2.5, 'a "b"')::point3, ARRAY[ROW(NULL, 'NaN', '')::point3])::line3)"#),
    ]).await;
}

#[tokio::test]
async fn domains_enums_and_the_rest() {
    // Multiranges are new in 14.
    let ranges = match major() {
        13 => ("numrange", "('[1.5,2.50]'), ('(,)')"),
        _ => ("nummultirange", "('{[1.5,2.50],(7,)}'), ('{}')"),
    };
    check(
        "CREATE DOMAIN positive AS int CHECK (value > 0);
         CREATE DOMAIN small_positive AS positive CHECK (value < 10);
         CREATE DOMAIN facts AS jsonb;
         CREATE TYPE mood AS ENUM ('sad', 'so \"so\"')",
        &[
            ("small_positive", "(7), (NULL)"),
            ("facts", r#"('{"a": 1}')"#),
            ("mood", r#"('sad'), ('so "so"')"#),
            ("int4range", "('[1,5)'), ('empty')"),
            ranges,
            ("inet", "('192.168.0.1/24'), ('::1')"),
            ("macaddr", "('08:00:2b:01:02:03')"),
            ("bit(5)", "(B'10101')"),
            ("point", "('(1,2)')"),
            ("xml", r#"('<a b="c">d</a>')"#),
            ("tsvector", "('a:1 b:2')"),
            ("pg_lsn", "('16/B374D848')"),
            ("regclass", "('pg_class')"),
        ],
    )
    .await;
}

#[tokio::test]
async fn every_other_type_of_the_server() {
    check(
        "",
        &[
            (r#""char""#, "('a'), ('')"),
            (
                "numeric",
                "(repeat('9', 131072)::numeric), (('0.' || repeat('1', 16383))::numeric)",
            ),
            ("macaddr8", "('08:00:2b:01:02:03:04:05')"),
            ("cidr", "('10.0.0.0/8'), ('2001:db8::/32')"),
            ("varbit", "(B''), (B'101')"),
            ("line", "('{1,-1,0}')"),
            ("lseg", "('[(1,2),(3,4)]')"),
            ("box", "('(3,4),(1,2)')"),
            ("path", "('[(1,2),(3,4)]'), ('((1,2),(3,4))')"),
            ("polygon", "('((0,0),(0,1),(1,0))')"),
            ("circle", "('<(1,2),3>')"),
            ("tsquery", "('a & (b | !c)')"),
            ("pg_snapshot", "('10:20:10,14')"),
            ("tid", "('(1,2)')"),
            ("xid", "('4294967295')"),
            ("xid8", "('18446744073709551615')"),
            ("cid", "('7')"),
            ("jsonpath", "('$.a[*] ? (@ > 1)')"),
            ("int8range", "('(1,9]')"),
            ("daterange", "('[2024-01-01,)')"),
            ("tsrange", "('[2024-01-01 00:00,2024-01-02 00:00)')"),
            ("tstzrange", "('[2024-01-01 00:00+05,)')"),
            ("oidvector", "('1 2')"),
            ("int2vector", "('1 2')"),
            ("regtype", "('int4')"),
            ("regprocedure", "('lower(text)')"),
            ("refcursor", "('c')"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_cast_to_json_that_the_server_does_not_call_changes_nothing() {
    check(
        "CREATE TYPE size AS ENUM ('a', 'b');
         CREATE CAST (size AS json) WITH INOUT; CREATE CAST (size AS jsonb) WITH INOUT AS ASSIGNMENT;
         CREATE TYPE tag;
         CREATE FUNCTION tag_in(cstring) RETURNS tag LANGUAGE internal IMMUTABLE STRICT AS 'textin';
         CREATE FUNCTION tag_out(tag) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
         CREATE TYPE tag (INPUT = tag_in, OUTPUT = tag_out, LIKE = text);
         CREATE CAST (tag AS json) WITHOUT FUNCTION;
         CREATE TYPE parcel AS (size size, tag tag, note text);
         CREATE DOMAIN sizes AS size[]",
        &[
            ("size", "('a')"),
            ("size[]", "('{a,b}'), ('{}'), ('{{a},{NULL}}')"),
            ("sizes", "('{b}')"),
            ("tag", r#"('{"x": 1}')"#),
            ("tag[]", r#"(ARRAY['{"x": 1}'::tag, NULL])"#),
            ("parcel", r#"(ROW('a', '"t"', 'x')::parcel)"#),
            ("parcel[]", "(ARRAY[ROW('b', 't', NULL)::parcel])"),
        ],
    )
    .await;
}

#[tokio::test]
async fn generated_columns_are_there_when_they_are_stored() {
    // A virtual column is new in 18: it is computed when it is read, so the WAL does not have it.
    let computed = match major() {
        13..=17 => "",
        _ => ", computed int GENERATED ALWAYS AS (base + 1) VIRTUAL",
    };
    let lab = Lab::start().await;
    let mut queue = lab.queue().await;
    lab.producer().start();
    lab.sql(&format!(
        "CREATE TABLE sums (id int PRIMARY KEY, base int,
             stored int GENERATED ALWAYS AS (base * 2) STORED, label text {computed});
         ALTER TABLE sums REPLICA IDENTITY FULL;
         INSERT INTO sums (id, base, label) VALUES (1, 10, 'a');
         UPDATE sums SET base = 11; UPDATE sums SET label = 'b'; DELETE FROM sums"
    ))
    .await;
    let first = json!({"id": 1, "base": 10, "stored": 20, "label": "a"});
    let second = json!({"id": 1, "base": 11, "stored": 22, "label": "a"});
    let third = json!({"id": 1, "base": 11, "stored": 22, "label": "b"});
    let events = [
        (json!({}), &first, first.clone()),
        (first.clone(), &second, json!({"base": 11, "stored": 22})),
        (second.clone(), &third, json!({"label": "b"})),
        (third.clone(), &json!({}), json!({})),
    ];
    for (old, new, diff) in events {
        let event = queue.next().await.json();
        assert_eq!(
            (&event["old"], &event["new"], &event["diff"]),
            (&old, new, &diff)
        );
    }
    lab.finish().await;
}

#[tokio::test]
async fn types_of_contrib_are_as_the_readme_says() {
    contract::check(
        "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
         CREATE TYPE facts AS (plain text, pairs hstore);
         CREATE TABLE things (id int PRIMARY KEY, pairs hstore, name citext, path ltree, names citext[],
           several hstore[], facts facts)",
        r#"INSERT INTO things VALUES (1, 'a=>1, b=>NULL', 'Ab "c"', 'Top.Science', '{Ab,NULL}',
             ARRAY['a=>1'::hstore], ROW('x', 'a=>1'))"#,
        &[
            r#"{"table_name":"public.things","old":{},"new":{"id":1,"pairs":"\"a\"=>\"1\", \"b\"=>NULL","name":"Ab \"c\"","path":"Top.Science","names":["Ab",null],"several":"{\"\\\"a\\\"=>\\\"1\\\"\"}","facts":"(x,\"\"\"a\"\"=>\"\"1\"\"\")"},"id":1,"diff":{"id":1,"pairs":"\"a\"=>\"1\", \"b\"=>NULL","name":"Ab \"c\"","path":"Top.Science","names":["Ab",null],"several":"{\"\\\"a\\\"=>\\\"1\\\"\"}","facts":"(x,\"\"\"a\"\"=>\"\"1\"\"\")"},"action":"I"}"#,
        ],
    )
    .await;
}
