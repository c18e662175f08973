use std::collections::BTreeSet;

use pgevents_proto::Options;
use tokio_postgres::Row;

use super::Finding;
use crate::{
    postgres::{Misnamed, NameFault, PostgresError, Sql, misnamed, quote_identifier},
    producer::Settings,
};

/// Above this number of tables that are all right, one line speaks for them.
const LISTED: usize = 10;

const CHECK: &str = "postgres.table";

/// A relation that a table list can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    /// Schema and name of the topmost parent; its own where it is no partition.
    root: (String, String),
    kind: Kind,
    /// Whether its changes are in the WAL.
    logged: bool,
    identity: Identity,
    /// Whether events have an `id`: a primary key, or a column of that name.
    has_id: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Table,
    Partitioned,
    /// A view, a materialised view or a foreign table.
    WithoutChanges(&'static str),
}

/// How much of the old row the WAL has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Full,
    Key,
    Nothing,
}

impl Table {
    /// Every relation that a list could mean.
    pub(super) async fn ask(sql: &Sql<'_>) -> Result<Vec<Self>, PostgresError> {
        // relreplident: d(efault, the primary key), i(ndex), f(ull), n(othing).
        let query =
            "SELECT pg_catalog.textsend(n.nspname::text), pg_catalog.textsend(c.relname::text),
                pg_catalog.textsend(coalesce(rn.nspname, n.nspname)::text),
                pg_catalog.textsend(coalesce(r.relname, c.relname)::text),
                c.relkind::text, c.relpersistence = 'p', c.relreplident::text,
                EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid
                    AND (CASE c.relreplident WHEN 'i' THEN i.indisreplident
                        ELSE i.indisprimary END)),
                EXISTS (SELECT FROM pg_catalog.pg_index i
                    WHERE i.indrelid = c.oid AND i.indisprimary)
                OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
                    AND a.attname = 'id' AND NOT a.attisdropped)
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_class r
                ON c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid)
            LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
                AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                AND n.nspname NOT LIKE 'pg\\_toast%'
            ORDER BY 1, 2";
        let rows = sql.client().query(query, &[]).await;
        let rows = rows.map_err(|error| sql.failure(error))?;
        // Names of a SQL_ASCII database need not be UTF-8.
        let name = |row: &Row, column| String::from_utf8_lossy(row.get(column)).into_owned();
        Ok(rows
            .iter()
            .map(|row| Self {
                schema: name(row, 0),
                name: name(row, 1),
                root: (name(row, 2), name(row, 3)),
                kind: match row.get(4) {
                    "r" => Kind::Table,
                    "p" => Kind::Partitioned,
                    "v" => Kind::WithoutChanges("a view"),
                    "m" => Kind::WithoutChanges("a materialised view"),
                    _ => Kind::WithoutChanges("a foreign table"),
                },
                logged: row.get(5),
                identity: match (row.get(6), row.get(7)) {
                    ("f", _) => Identity::Full,
                    ("d" | "i", true) => Identity::Key,
                    _ => Identity::Nothing,
                },
                has_id: row.get(8),
            })
            .collect())
    }

    /// Routing key of its rows.
    fn routing_key(&self, wanted: &Wanted) -> String {
        let (schema, name) = self.sent_as(wanted);
        format!("{schema}.{name}")
    }

    fn sent_as(&self, wanted: &Wanted) -> (&str, &str) {
        match wanted.options.partition_root {
            true => (&self.root.0, &self.root.1),
            false => (&self.schema, &self.name),
        }
    }

    fn judge(&self, wanted: &Wanted) -> Finding {
        let quoted = format!(
            "{}.{}",
            quote_identifier(&self.schema),
            quote_identifier(&self.name)
        );
        let full = format!("run: ALTER TABLE {quoted} REPLICA IDENTITY FULL;");
        let finding = match (self.kind, self.identity) {
            (Kind::WithoutChanges(kind), _) => Finding::fail(
                CHECK,
                format!("is {kind}, and its changes are not in the WAL"),
                "name the tables behind it in PGTABLES",
            ),
            (Kind::Partitioned, _) => Finding::warn(
                CHECK,
                "is partitioned: its rows go by the names of its partitions",
                "use --partition-root, or name the partitions in PGTABLES, e.g. with *",
            ),
            (Kind::Table, _) if !self.logged => Finding::fail(
                CHECK,
                "is unlogged, and its changes are not in the WAL",
                format!("run: ALTER TABLE {quoted} SET LOGGED;"),
            ),
            (Kind::Table, Identity::Nothing) => Finding::warn(
                CHECK,
                "has no replica identity: updates and deletes come without the old row",
                full,
            ),
            (Kind::Table, Identity::Key) => Finding::warn(
                CHECK,
                "updates and deletes come with the key of the old row only",
                full,
            ),
            (Kind::Table, Identity::Full) if !self.has_id && wanted.rows() => Finding::warn(
                CHECK,
                "has neither a primary key nor a column id: the id of its events is null",
                format!("run: ALTER TABLE {quoted} ADD PRIMARY KEY (…);"),
            ),
            (Kind::Table, Identity::Full) => Finding::ok(CHECK, "sends whole rows"),
        };
        finding.about(format!("{}.{}", self.schema, self.name))
    }
}

/// Which tables the relay sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    options: Options,
}

impl Wanted {
    /// The tables that this relay sends.
    pub(super) fn of(producer: &Settings) -> Self {
        Self {
            options: producer.plugin.clone(),
        }
    }

    /// Whether rows are sent at all, and not only logical messages or TRUNCATE.
    fn rows(&self) -> bool {
        let actions = self.options.actions;
        actions.insert || actions.update || actions.delete
    }

    /// Routing keys of the rows that are sent, each once; those of tables that are only named, too.
    pub(super) fn routing_keys(&self, all: &[Table]) -> Vec<String> {
        let named = self
            .options
            .tables()
            .into_iter()
            .flat_map(|list| list.patterns());
        let named = named.filter_map(|pattern| pattern.exact());
        let named = named.map(|(schema, name)| format!("{schema}.{name}"));
        let chosen = self.choose(all).into_iter();
        let keys: BTreeSet<String> = chosen
            .map(|table| table.routing_key(self))
            .chain(named)
            .collect();
        keys.into_iter().collect()
    }

    /// The tables of `all` whose rows are sent, and what was asked for and can send none. A view is
    /// among them only if the list names it literally: a pattern does not mean it.
    fn choose<'a>(&self, all: &'a [Table]) -> Vec<&'a Table> {
        all.iter()
            .filter(|table| {
                let (schema, name) = table.sent_as(self);
                let named = self.options.tables().is_some_and(|list| {
                    let mut exact = list.patterns().iter().filter_map(|p| p.exact());
                    exact.any(|pattern| pattern == (schema, name))
                });
                let sends = match table.kind {
                    Kind::Table => table.logged || named,
                    Kind::Partitioned => named && !self.options.partition_root,
                    Kind::WithoutChanges(_) => named,
                };
                self.options.wants_table(schema, name) && sends
            })
            .collect()
    }

    /// A finding for each table, and for each pattern of the list that means none.
    pub(super) fn judge(&self, all: &[Table]) -> Vec<Finding> {
        let chosen = self.choose(all);
        let mut findings = self.without_table(all);
        let (fine, bad): (Vec<_>, Vec<_>) = chosen
            .iter()
            .map(|table| table.judge(self))
            .partition(|finding| finding.level == super::Level::Ok);
        findings.extend(bad);
        match fine.len() {
            0 => {}
            count if count > LISTED => {
                findings.push(Finding::ok(
                    CHECK,
                    format!("{count} tables send whole rows"),
                ));
            }
            _ => findings.extend(fine),
        }
        if chosen.is_empty() && findings.is_empty() {
            findings.push(Finding::warn(
                CHECK,
                "the database has no table to send",
                "check PGDATABASE and --exclude-tables",
            ));
        }
        findings
    }

    /// A finding for each item of a list that keeps nothing back, and so exposes what it names, or
    /// that takes rows their key.
    pub(super) async fn exclusions(&self, sql: &Sql<'_>) -> Result<Vec<Finding>, PostgresError> {
        let found = misnamed(sql, &self.options).await?;
        let found = found
            .iter()
            .filter(|found| found.exposes() || matches!(found.fault, NameFault::Key(_)));
        Ok(found.map(excluded).collect())
    }

    fn without_table(&self, all: &[Table]) -> Vec<Finding> {
        let patterns = self
            .options
            .tables()
            .into_iter()
            .flat_map(|list| list.patterns());
        let missing = patterns.filter(|pattern| {
            !all.iter().any(|table| {
                let (schema, name) = table.sent_as(self);
                pattern.matches(schema, name)
            })
        });
        missing
            .map(|pattern| {
                let says = "PGTABLES names no table that exists";
                Finding::warn(CHECK, says, "check the spelling, or create it")
                    .about(pattern.to_string())
            })
            .collect()
    }
}

fn excluded(found: &Misnamed) -> Finding {
    const CHECK: &str = "postgres.exclusion";
    let (says, fix) = match found.to_string().rsplit_once(": ") {
        Some((says, fix)) => (says.to_owned(), fix.to_owned()),
        None => (found.to_string(), "check the spelling".to_owned()),
    };
    let finding = match found.exposes() {
        true => Finding::fail(CHECK, format!("{says}: nothing is kept back"), fix),
        false => Finding::warn(CHECK, says, fix),
    };
    finding.about(found.item.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn table(name: &str) -> Table {
        Table {
            schema: "public".to_owned(),
            name: name.to_owned(),
            root: ("public".to_owned(), name.to_owned()),
            kind: Kind::Table,
            logged: true,
            identity: Identity::Full,
            has_id: true,
        }
    }

    fn asked(options: &[(&str, &str)]) -> Wanted {
        let given = options.iter();
        let given = given.map(|(name, value)| (name.to_string(), Some(value.to_string())));
        Wanted {
            options: Options::parse(given).expect("options"),
        }
    }

    fn wanted(tables: &str) -> Wanted {
        asked(&[("tables", tables)])
    }

    /// Expects one finding with this level and text.
    fn check(wanted: &Wanted, table: Table, level: Level, says: &str) {
        let findings = wanted.judge(&[table]);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].level, level);
        assert!(findings[0].to_string().contains(says), "{}", findings[0]);
    }

    #[test]
    fn a_table_with_full_identity_is_ok() {
        check(&wanted("public.*"), table("users"), Level::Ok, "whole rows");
        check(&Wanted::default(), table("users"), Level::Ok, "whole rows");
    }

    #[test]
    fn what_events_will_lack_is_said_with_the_statement_that_mends_it() {
        let full = "ALTER TABLE \"public\".\"Us\"\"ers\" REPLICA IDENTITY FULL;";
        for identity in [Identity::Key, Identity::Nothing] {
            let table = Table {
                identity,
                ..table("Us\"ers")
            };
            check(&wanted("public.*"), table, Level::Warn, full);
        }
        let nameless = Table {
            has_id: false,
            ..table("log")
        };
        check(
            &wanted("public.log"),
            nameless,
            Level::Warn,
            "ADD PRIMARY KEY",
        );
    }

    #[test]
    fn what_has_no_changes_is_a_failure_if_it_is_named() {
        let view = Table {
            kind: Kind::WithoutChanges("a view"),
            ..table("v")
        };
        check(&wanted("public.v"), view.clone(), Level::Fail, "is a view");
        check(&Wanted::default(), view, Level::Warn, "no table to send");
        let unlogged = Table {
            logged: false,
            ..table("u")
        };
        check(&wanted("public.u"), unlogged, Level::Fail, "SET LOGGED");
    }

    #[test]
    fn a_pattern_that_means_nothing_is_said() {
        let findings = wanted("public.users, public.usr*").judge(&[table("users")]);
        assert_eq!(findings[0].subject.as_deref(), Some("public.usr*"));
        assert_eq!(
            (findings[0].level, findings[1].level),
            (Level::Warn, Level::Ok)
        );
    }

    #[test]
    fn partitions_go_by_their_own_name_or_by_that_of_their_root() {
        let parent = Table {
            kind: Kind::Partitioned,
            ..table("log")
        };
        let part = Table {
            root: ("public".to_owned(), "log".to_owned()),
            ..table("log_1")
        };
        check(
            &wanted("public.log"),
            parent.clone(),
            Level::Warn,
            "--partition-root",
        );
        let rooted = asked(&[("tables", "public.log"), ("partition-root", "on")]);
        let all = [parent, part];
        assert_eq!(rooted.judge(&all).len(), 1, "{:#?}", rooted.judge(&all));
        assert_eq!(rooted.routing_keys(&all), ["public.log"]);
        assert_eq!(wanted("public.log_*").routing_keys(&all), ["public.log_1"]);
    }

    #[test]
    fn many_tables_that_are_all_right_are_one_line() {
        let all: Vec<Table> = (0..11).map(|n| table(&format!("t{n}"))).collect();
        let findings = Wanted::default().judge(&all);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].says.starts_with("11 tables"), "{}", findings[0]);
    }
}
