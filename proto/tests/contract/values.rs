//! Single values, beside what `to_json` of PostgreSQL 15 printed for them under `TimeZone=UTC`.

use pgevents_proto::{Kind, OmittedReason, ReplicaIdentity};

use crate::session::{Cell, Stated, events, frame, relation};

fn check(kind: Kind, value: Cell, expected: &str) {
    let relation = relation(ReplicaIdentity::Nothing, &[("v", kind)], &[]);
    let event = events(&frame(&relation, &[Stated::insert(vec![value.clone()])])).remove(0);
    let expected = format!(
        r#"{{"table_name":"public.users","old":{{}},"new":{{"v":{expected}}},"id":null,"diff":{{"v":{expected}}},"action":"I"}}"#
    );
    assert_eq!(event, expected, "{kind:?} {value:?}");
}

fn check_float8(text: &str, expected: &str) {
    check(Kind::Float8, Cell::Float8(text.parse().unwrap()), expected);
}

fn check_float4(text: &str, expected: &str) {
    check(Kind::Float4, Cell::Float4(text.parse().unwrap()), expected);
}

#[test]
fn floats_have_postgresql_layout() {
    for text in [
        "0",
        "-0",
        "1",
        "-1.5",
        "0.1",
        "0.0001",
        "123456789012345",
        "999999999999999.9",
    ] {
        check_float8(text, text);
    }
    check_float8("0.00001", "1e-05");
    check_float8("1e14", "100000000000000");
    check_float8("1e15", "1e+15");
    check_float8("1e22", "1e+22");
    check_float8("1.5e300", "1.5e+300");
    for text in [
        "0", "-0", "1", "0.1", "0.0001", "100000", "999999", "123456", "1e-45",
    ] {
        check_float4(text, text);
    }
    check_float4("0.00001", "1e-05");
    check_float4("1e6", "1e+06");
    check_float4("1234567", "1.234567e+06");
    for (value, expected) in [
        ("NaN", r#""NaN""#),
        ("inf", r#""Infinity""#),
        ("-inf", r#""-Infinity""#),
    ] {
        check_float8(value, expected);
        check_float4(value, expected);
    }
}

#[test]
fn floats_have_the_shortest_digits_inside_their_interval() {
    check_float8("9007199254740991", "9.007199254740991e+15");
    check_float8("9007199254740993", "9.007199254740992e+15");
    check_float8("4611686018427387904", "4.611686018427388e+18");
    check_float8("9223372036854775808", "9.223372036854776e+18");
    check_float8("5e-324", "5e-324");
    check_float8("2.2250738585072014e-308", "2.2250738585072014e-308");
    check_float8("1.7976931348623157e308", "1.7976931348623157e+308");
    check_float8("9.5367431640625e-7", "9.5367431640625e-07");
    check_float8("1.40926e19", "1.40926e+19");
    check_float4("16777216", "1.6777216e+07");
    check_float4("33554432", "3.3554432e+07");
    check_float4("1.17549435e-38", "1.1754944e-38");
    check_float4("3.4028235e38", "3.4028235e+38");
}

#[test]
fn a_half_way_point_is_outside_a_floats_interval() {
    check_float8("8.41e21", "8.409999999999999e+21");
    check_float8("4.96e23", "4.9600000000000003e+23");
    check_float8("1e23", "9.999999999999999e+22");
    check_float8("6.29730224609375e16", "6.2973022460937504e+16");
    check_float8("2.83273923589302e17", "2.8327392358930202e+17");
    check_float8("4.04647642773165e16", "4.0464764277316496e+16");
    check_float4("8589973504", "8.589974e+09");
    check_float4("3.904e11", "3.9039998e+11");
    check_float4("1.9199999e12", "1.9199999e+12");
    check_float4("4.718592e15", "4.7185917e+15");
}

#[test]
fn integers_and_booleans_are_plain() {
    for value in [0, 1, -1, i64::MIN, i64::MAX] {
        check(Kind::Integer, Cell::Integer(value), &value.to_string());
    }
    check(Kind::Bool, Cell::Integer(0), "false");
    check(Kind::Bool, Cell::Integer(1), "true");
}

#[test]
fn numerics_keep_their_digits_and_the_rest_is_a_string() {
    for text in [
        "0",
        "1.10",
        "-0.00",
        "123456789012345678901234567890.5",
        "1e+20",
        "2E5",
    ] {
        check(Kind::Numeric, Cell::text(text), text);
    }
    for text in [
        "NaN",
        "Infinity",
        "-Infinity",
        "",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1x",
    ] {
        check(Kind::Numeric, Cell::text(text), &format!("\"{text}\""));
    }
}

#[test]
fn dates_reach_from_4714_bc_to_5874897() {
    for (days, text) in [
        (-2_451_545, "4714-11-24 BC"),
        (-730_120, "0001-12-31 BC"),
        (-730_119, "0001-01-01"),
        (-1, "1999-12-31"),
        (59, "2000-02-29"),
        (2_921_939, "9999-12-31"),
        (2_921_940, "10000-01-01"),
        (2_145_031_948, "5874897-12-31"),
        (i64::from(i32::MIN), "-infinity"),
        (i64::from(i32::MAX), "infinity"),
        // Not PostgreSQL's: shown, not trusted.
        (i64::MAX, "9223372036854775807"),
    ] {
        check(Kind::Date, Cell::Integer(days), &format!("\"{text}\""));
    }
}

#[test]
fn timestamps_have_a_t_and_those_with_zone_an_offset() {
    for (micros, day, clock, era) in [
        (-211_813_488_000_000_000, "4714-11-24", "00:00:00", " BC"),
        (
            -63_082_281_600_000_001,
            "0001-12-31",
            "23:59:59.999999",
            " BC",
        ),
        (-64_464_465_599_500_000, "0044-03-15", "12:00:00.5", " BC"),
        (1, "2000-01-01", "00:00:00.000001", ""),
        (-1, "1999-12-31", "23:59:59.999999", ""),
        (848_780_130_120_000, "2026-11-23", "20:15:30.12", ""),
        (
            9_223_371_331_199_999_999,
            "294276-12-31",
            "23:59:59.999999",
            "",
        ),
    ] {
        check(
            Kind::Timestamp,
            Cell::Micros(micros),
            &format!("\"{day}T{clock}{era}\""),
        );
        check(
            Kind::Timestamptz,
            Cell::Micros(micros),
            &format!("\"{day}T{clock}+00:00{era}\""),
        );
    }
    for kind in [Kind::Timestamp, Kind::Timestamptz] {
        check(kind, Cell::Micros(i64::MIN), r#""-infinity""#);
        check(kind, Cell::Micros(i64::MAX), r#""infinity""#);
    }
}

#[test]
fn times_of_day_end_at_24() {
    for (micros, text) in [
        (0, "00:00:00"),
        (86_399_999_999, "23:59:59.999999"),
        (86_400_000_000, "24:00:00"),
        (45_000_100_000, "12:30:00.1"),
        (-1, "-1"),
        (86_400_000_001, "86400000001"),
    ] {
        check(Kind::Time, Cell::Micros(micros), &format!("\"{text}\""));
    }
}

#[test]
fn text_is_escaped_like_escape_json() {
    check(
        Kind::Text,
        Cell::text("Mikael Åkerfeldt"),
        r#""Mikael Åkerfeldt""#,
    );
    check(
        Kind::Text,
        Cell::text("\"\\\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}/"),
        "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}/\"",
    );
    let long = "x".repeat(70);
    check(
        Kind::Text,
        Cell::text(&format!("{long}\"{long}")),
        &format!("\"{long}\\\"{long}\""),
    );
    check(Kind::Text, Cell::text(""), r#""""#);
}

#[test]
fn bytes_that_are_no_utf8_become_the_replacement_character() {
    check(
        Kind::Text,
        Cell::Bytes(b"a\xFFb\xC3".to_vec()),
        "\"a\u{FFFD}b\u{FFFD}\"",
    );
    check(
        Kind::Json,
        Cell::Bytes(b"\"\xFF\"".to_vec()),
        "\"\u{FFFD}\"",
    );
    check(Kind::Numeric, Cell::Bytes(b"\xFF".to_vec()), "\"\u{FFFD}\"");
}

#[test]
fn documents_are_embedded_on_one_line() {
    check(
        Kind::Json,
        Cell::text(r#"{"a": [1, 2.50]}"#),
        r#"{"a": [1, 2.50]}"#,
    );
    check(Kind::Json, Cell::text("{\n\"a\":\r\n1}"), "{ \"a\":  1}");
    check(Kind::Json, Cell::text(""), "null");
}

#[test]
fn bytea_and_uuid_are_lower_case_hex() {
    check(
        Kind::Bytea,
        Cell::Bytes(vec![0, 0xAB, 0xFF]),
        r#""\\x00abff""#,
    );
    check(
        Kind::Bytea,
        Cell::Bytes(vec![0x5A; 200]),
        &format!(r#""\\x{}""#, "5a".repeat(200)),
    );
    check(
        Kind::Uuid,
        Cell::Bytes((0x10..0x20).collect()),
        r#""10111213-1415-1617-1819-1a1b1c1d1e1f""#,
    );
}

#[test]
fn a_value_kept_back_is_marked() {
    check(
        Kind::Text,
        Cell::Omitted(OmittedReason::TooLarge, 5_000_000),
        r#"{"pgevents_omitted":"too_large","bytes":5000000}"#,
    );
    check(
        Kind::Integer,
        Cell::Omitted(OmittedReason::Unreadable, 0),
        r#"{"pgevents_omitted":"unreadable","bytes":0}"#,
    );
}
