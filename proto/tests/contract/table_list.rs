//! Lists of tables that nobody would write: they match whole names or are refused, and never panic.

use pgevents_proto::{ColumnList, TableList};
use proptest::{collection::vec, prelude::*};

/// Texts made of what means something in a list.
fn list() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(".".to_owned()),
        Just("*".to_owned()),
        "[,\"\\\\ \t]",
        "[a-c]{1,3}",
        "\\PC",
    ];
    vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Names over few letters, so that patterns meet them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{1,6}", 1 => "[ab.*\"\\\\, ]{1,6}", 1 => "\\PC{1,4}"]
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A backslash before each character that is no letter.
fn escaped(name: &str) -> String {
    let characters = name.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_string(),
        false => format!("\\{c}"),
    });
    characters.collect()
}

/// Whether a name fits a pattern of letters and stars, by trying every length for every star.
fn fits(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skip| fits(rest, &name[skip..])),
        [first, rest @ ..] => name.first() == Some(first) && fits(rest, &name[1..]),
    }
}

proptest! {
    #[test]
    fn any_text_is_a_list_or_is_refused_at_a_place_within_it(text in list(), a in name(), b in name()) {
        match text.parse::<TableList>() {
            Ok(list) => {
                list.matches(&a, &b);
            }
            Err(error) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.position), "{error}");
            }
        }
        if let Ok(list) = text.parse::<ColumnList>() {
            list.matches(&a, &b, &a);
        }
    }

    #[test]
    fn a_literal_name_matches_itself_alone(names in vec((name(), name()), 1..4), a in name(), b in name()) {
        for literal in [quoted, escaped] {
            let items: Vec<String> = names
                .iter()
                .map(|(schema, table)| format!("{}.{}", literal(schema), literal(table)))
                .collect();
            let list: TableList = items.join(" , ").parse().unwrap();
            for (pattern, (schema, table)) in list.patterns().iter().zip(&names) {
                prop_assert_eq!(pattern.exact(), Some((schema.as_str(), table.as_str())));
                prop_assert!(list.matches(schema, table));
            }
            let named = names.contains(&(a.clone(), b.clone()));
            prop_assert_eq!(list.matches(&a, &b), named, "{}", items.join(" , "));
        }
    }

    #[test]
    fn stars_match_as_trying_everything_does(pattern in "[ab*]{1,7}", name in "[ab]{0,9}") {
        let list: TableList = format!("{pattern}.*").parse().unwrap();
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(list.matches(&name, "x"), fits(&characters(&pattern), &characters(&name)));
    }
}
