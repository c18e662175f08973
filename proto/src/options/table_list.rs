//! Which tables and columns are meant: the values of `tables`, `exclude-tables` and
//! `exclude-columns`.

use std::{fmt, str::FromStr};

/// A list such as `public.users, sales.*, audit.log_*`.
///
/// Items are separated by commas, blanks around them do not count. An item is `schema.table`, both
/// case-sensitive; `*` stands for any run of characters, in the whole part or inside it. A part in
/// double quotes is literal (`""` for a quote), and a backslash makes the next character literal,
/// as in wal2json. Matching is always against whole names, never against a substring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableList {
    patterns: Vec<TablePattern>,
}

impl TableList {
    /// Whether any item matches the table.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        self.patterns.iter().any(|p| p.matches(schema, table))
    }

    /// The items, in the order of the list.
    pub fn patterns(&self) -> &[TablePattern] {
        &self.patterns
    }
}

/// One item of a [`TableList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    schema: NamePattern,
    table: NamePattern,
}

impl TablePattern {
    /// Schema and table when the item names exactly one table; `None` when it has a `*`.
    pub fn exact(&self) -> Option<(&str, &str)> {
        Some((self.schema.exact()?, self.table.exact()?))
    }

    /// Whether the item matches the table.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        self.schema.matches(schema) && self.table.matches(table)
    }
}

/// For people: names as they are, without quotes or escapes.
impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (schema, table) = (&self.schema.texts, &self.table.texts);
        write!(f, "{}.{}", schema.join("*"), table.join("*"))
    }
}

/// A list of columns, `schema.table.column` each, in the syntax of [`TableList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnList {
    patterns: Vec<ColumnPattern>,
}

impl ColumnList {
    /// Whether any item matches the column.
    pub fn matches(&self, schema: &str, table: &str, column: &str) -> bool {
        self.patterns
            .iter()
            .any(|p| p.table.matches(schema, table) && p.matches_column(column))
    }

    /// The items, in the order of the list.
    pub fn patterns(&self) -> &[ColumnPattern] {
        &self.patterns
    }
}

/// One item of a [`ColumnList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnPattern {
    /// The table.
    pub table: TablePattern,
    column: NamePattern,
}

impl ColumnPattern {
    /// Whether a column of that name is meant, in the tables that are meant.
    pub fn matches_column(&self, column: &str) -> bool {
        self.column.matches(column)
    }
}

/// For people, as that of a [`TablePattern`].
impl fmt::Display for ColumnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column.texts.join("*"))
    }
}

/// Literal texts with a `*` between each two neighbours; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamePattern {
    texts: Vec<String>,
}

impl NamePattern {
    fn exact(&self) -> Option<&str> {
        match self.texts.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = self.texts.as_slice() else {
            return self.exact() == Some(name);
        };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        // The leftmost place for each text leaves the most room for those after it.
        for text in middle {
            let Some(at) = rest.find(text.as_str()) else {
                return false;
            };
            rest = &rest[at + text.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

/// Why a list is no table list. Nothing is decoded with a list that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table list, character {position}: {fault}")]
pub struct TableListError {
    /// Where, counted in characters from 1; one past the end if the list stops too early.
    pub position: usize,
    /// What is wrong there.
    pub fault: TableListFault,
}

/// What can be wrong with a table list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableListFault {
    /// An empty list would mean nothing or everything; say which.
    #[error("expected a qualified name, found nothing")]
    Empty,
    /// An item with too few names.
    #[error("expected a dot and another name (schema.table, for a column schema.table.column)")]
    NoDot,
    /// `.table`, `schema.` or `""`.
    #[error("expected a name before this place")]
    NoName,
    /// `a.b.c` for a table; a dot inside a name is quoted or escaped.
    #[error("unexpected dot; write a dot inside a name as \\. or in double quotes")]
    ExtraDot,
    /// A blank inside a name without quotes.
    #[error("unexpected blank inside a name; write it as \\  or in double quotes")]
    Blank,
    /// `ab"c"` or `"ab"c`.
    #[error("unexpected double quote; quotes go around the whole name")]
    Quote,
    /// No closing quote.
    #[error("expected a closing double quote")]
    Unclosed,
    /// A backslash with nothing behind it.
    #[error("expected a character after the backslash")]
    Backslash,
}

impl FromStr for TableList {
    type Err = TableListError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let items = read_list(list)?;
        let patterns = items
            .into_iter()
            .map(|[schema, table]| TablePattern { schema, table });
        Ok(Self {
            patterns: patterns.collect(),
        })
    }
}

impl FromStr for ColumnList {
    type Err = TableListError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let items = read_list(list)?;
        let pattern = |[schema, table, column]: [NamePattern; 3]| ColumnPattern {
            table: TablePattern { schema, table },
            column,
        };
        Ok(Self {
            patterns: items.into_iter().map(pattern).collect(),
        })
    }
}

/// Reads a comma list of items of `PARTS` names with dots between them.
fn read_list<const PARTS: usize>(list: &str) -> Result<Vec<[NamePattern; PARTS]>, TableListError> {
    let mut reader = Reader {
        chars: list.chars().collect(),
        at: 0,
    };
    let mut items = Vec::new();
    loop {
        reader.skip_blanks();
        items.push(reader.item()?);
        reader.skip_blanks();
        match reader.next() {
            None => return Ok(items),
            Some(',') => {}
            Some('.') => return Err(reader.fault_here(TableListFault::ExtraDot)),
            Some('"') => return Err(reader.fault_here(TableListFault::Quote)),
            Some(_) => return Err(reader.fault_here(TableListFault::Blank)),
        }
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn item<const PARTS: usize>(&mut self) -> Result<[NamePattern; PARTS], TableListError> {
        if matches!(self.peek(), None | Some(',')) {
            return Err(self.fault_next(TableListFault::Empty));
        }
        let mut names = [const { NamePattern { texts: Vec::new() } }; PARTS];
        for (part, name) in names.iter_mut().enumerate() {
            if part > 0 {
                if self.peek() != Some('.') {
                    return Err(self.fault_next(TableListFault::NoDot));
                }
                self.at += 1;
            }
            *name = self.name()?;
        }
        Ok(names)
    }

    /// Reads one name and stops before a dot, comma, blank or the end.
    fn name(&mut self) -> Result<NamePattern, TableListError> {
        let start = self.at;
        let mut texts = Vec::new();
        if self.peek() == Some('"') {
            self.at += 1;
            texts.push(self.quoted()?);
        } else {
            self.unquoted(&mut texts)?;
        }
        if texts == [""] {
            return Err(self.fault_next(TableListFault::NoName));
        }
        if self.peek() == Some('"') && self.at > start {
            return Err(self.fault_next(TableListFault::Quote));
        }
        Ok(NamePattern { texts })
    }

    fn unquoted(&mut self, texts: &mut Vec<String>) -> Result<(), TableListError> {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            match c {
                '.' | ',' | '"' => break,
                c if c.is_whitespace() => break,
                '*' => texts.push(std::mem::take(&mut text)),
                '\\' => {
                    self.at += 1;
                    let literal = self.peek();
                    text.push(literal.ok_or(self.fault_next(TableListFault::Backslash))?);
                }
                c => text.push(c),
            }
            self.at += 1;
        }
        texts.push(text);
        Ok(())
    }

    fn quoted(&mut self) -> Result<String, TableListError> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(self.fault_next(TableListFault::Unclosed)),
                Some('"') if self.peek() == Some('"') => {
                    self.at += 1;
                    text.push('"');
                }
                Some('"') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    /// A fault at the character that was read last.
    fn fault_here(&self, fault: TableListFault) -> TableListError {
        TableListError {
            position: self.at,
            fault,
        }
    }

    /// A fault at the character that comes next.
    fn fault_next(&self, fault: TableListFault) -> TableListError {
        TableListError {
            position: self.at + 1,
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> TableList {
        text.parse().unwrap_or_else(|e| panic!("{text:?}: {e}"))
    }

    #[test]
    fn names_match_whole_and_case_sensitively() {
        let users = list("public.users");
        assert!(users.matches("public", "users"));
        for (schema, table) in [
            ("public", "user"),
            ("public", "users2"),
            ("Public", "users"),
            ("x.public", "users"),
        ] {
            assert!(!users.matches(schema, table), "{schema}.{table}");
        }
    }

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, schema, table, expected) in [
            ("*.*", "a", "b", true),
            ("public.*", "public", "", true),
            ("public.*", "private", "t", false),
            ("*.log_*", "x", "log_2026", true),
            ("*.log_*", "x", "alog_2026", false),
            ("s.*_*_x", "s", "a_b_x", true),
            ("s.*_*_x", "s", "a_x", false),
            ("s.ab*ba", "s", "aba", false),
            ("s.ab*ba", "s", "abba", true),
            ("s.a**b", "s", "ab", true),
        ] {
            assert_eq!(
                list(pattern).matches(schema, table),
                expected,
                "{pattern} {schema}.{table}"
            );
        }
    }

    #[test]
    fn quotes_and_backslashes_make_characters_literal() {
        for (pattern, schema, table) in [
            (r#""public"."users""#, "public", "users"),
            (r#" "a.b"."x" "#, "a.b", "x"),
            (r#""a""b"."*""#, "a\"b", "*"),
            (r"\*.t\ t", "*", "t t"),
            (r"s.a\,b", "s", "a,b"),
            (r"s\.x.t", "s.x", "t"),
            (r#"s.\"q\""#, "s", "\"q\""),
            ("schéma.таблица", "schéma", "таблица"),
        ] {
            let parsed = list(pattern);
            assert!(parsed.matches(schema, table), "{pattern}");
            assert_eq!(parsed.patterns()[0].exact(), Some((schema, table)));
        }
        assert!(!list(r#"s."*""#).matches("s", "t"));
    }

    #[test]
    fn columns_have_three_names() {
        let list: ColumnList = "public.users.password, *.*.secret_*".parse().unwrap();
        assert!(list.matches("public", "users", "password"));
        assert!(list.matches("a", "b", "secret_key"));
        assert!(!list.matches("public", "users", "password2"));
        let error = "public.users".parse::<ColumnList>().unwrap_err();
        assert_eq!(
            error,
            TableListError {
                position: 13,
                fault: TableListFault::NoDot
            }
        );
    }

    #[test]
    fn every_fault_is_refused_with_its_place() {
        use TableListFault::*;
        for (text, position, fault) in [
            ("", 1, Empty),
            ("  ", 3, Empty),
            ("a.b,", 5, Empty),
            ("a.b,,c.d", 5, Empty),
            ("users", 6, NoDot),
            ("a.b, users", 11, NoDot),
            (".t", 1, NoName),
            ("s.", 3, NoName),
            (r#"s."""#, 5, NoName),
            ("a.b.c", 4, ExtraDot),
            ("a.b c.d", 5, Blank),
            (r#"a.b"c""#, 4, Quote),
            (r#"a."b"c"#, 6, Blank),
            (r#"a."b"#, 5, Unclosed),
            (r"a.b\", 5, Backslash),
        ] {
            assert_eq!(
                text.parse::<TableList>(),
                Err(TableListError { position, fault }),
                "{text:?}"
            );
        }
    }
}
