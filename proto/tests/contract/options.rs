//! Options of the plugin: what is refused, and in which words; what was given is what is printed.

use pgevents_proto::{Definition, OptionError, Options};

fn parse(given: &[(&str, Option<&str>)]) -> Result<Options, OptionError> {
    let owned = |value: &&str| (*value).to_owned();
    Options::parse(
        given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_ref().map(owned))),
    )
}

fn check_refusal(name: &str, value: Option<&str>, expected: &str) {
    let refused = parse(&[(name, value)]).unwrap_err();
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn what_was_given_is_printed_as_it_was_given() {
    let given = [
        ("tables", Some("public.users, \"a b\".*")),
        ("skip-noop", None),
        ("max-value-bytes", Some("1000")),
    ];
    let options = parse(&given).unwrap();
    assert_eq!(options.given().collect::<Vec<_>>(), given);
    let described = [
        "tables=public.users, \"a b\".*",
        "skip-noop",
        "max-value-bytes=1000",
    ];
    assert_eq!(options.described(), described);
    let again = options
        .given()
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    assert_eq!(Options::parse(again).unwrap(), options);
}

#[test]
fn a_mistake_is_named_with_what_is_expected() {
    check_refusal("tabels", None, "unknown option \"tabels\"");
    check_refusal("tables", None, "option \"tables\" needs a value");
    check_refusal(
        "tables",
        Some("users"),
        "option \"tables\": table list, character 6: expected a dot and another name (schema.table, \
         for a column schema.table.column)",
    );
    check_refusal(
        "actions",
        Some("insert,upsert"),
        "option \"actions\": expected a comma list of insert, update, delete, truncate, found \
         \"upsert\"",
    );
    check_refusal(
        "skip-noop",
        Some("maybe"),
        "option \"skip-noop\": expected on or off, found \"maybe\"",
    );
    for bytes in ["0", "536870913", "-1", "1 MB", ""] {
        let expected = format!(
            "option \"max-value-bytes\": expected a number of bytes from 1 to 536870912, found \
             \"{bytes}\""
        );
        check_refusal("max-value-bytes", Some(bytes), &expected);
    }
    let twice = parse(&[("origin", Some("any")), ("origin", Some("none"))]).unwrap_err();
    assert_eq!(twice.to_string(), "option \"origin\" is given twice");
    assert_eq!(
        twice.hint(),
        "Known options: actions, exclude-columns, exclude-tables, format, max-value-bytes, messages, \
         origin, partition-root, protocol-version, skip-noop, tables."
    );
}

#[test]
fn an_option_that_was_refused_leaves_the_others_as_they_were() {
    let mut options = parse(&[("origin", Some("none"))]).unwrap();
    let before = options.clone();
    options
        .set("actions", Some("upsert".to_owned()))
        .unwrap_err();
    assert_eq!(options, before);
}

#[test]
fn both_sides_speak_the_highest_version_that_both_know() {
    let spoken = |asked: &str| {
        parse(&[("protocol-version", Some(asked))])
            .unwrap()
            .spoken_version()
    };
    assert_eq!(Options::default().spoken_version(), Some(1));
    assert_eq!(spoken("1"), Some(1));
    assert_eq!(spoken("2"), Some(2));
    assert_eq!(spoken("4000000000"), Some(2));
    assert_eq!(spoken("0"), None);
}

#[test]
fn every_option_takes_a_value_of_its_own_kind() {
    let names: Vec<_> = Definition::ALL.iter().map(|option| option.name).collect();
    let values = [
        "a.b",
        "a.b",
        "truncate",
        "off",
        "a.b.c",
        "on",
        "pgevents:",
        "none",
        "1",
        "json",
        "2",
    ];
    assert_eq!(names.len(), values.len());
    let options = parse(&names.into_iter().zip(values.map(Some)).collect::<Vec<_>>()).unwrap();
    assert!(!options.wants_table("a", "b") && options.excludes_column("a", "b", "c"));
    assert!(options.actions.truncate && !options.actions.insert);
    assert!(options.partition_root && !options.skip_noop && options.local_only && options.json);
    assert!(options.wants_message("pgevents:x") && !options.wants_message("x"));
    assert_eq!(options.max_value_bytes, 1);
}
