//! What the lists of the settings mean in the database as it is.

use std::{fmt, pin::pin};

use futures_util::StreamExt;
use pgevents_proto::{ColumnPattern, Options, TablePattern};
use tokio_postgres::{Row, types::ToSql};

use super::{PostgresError, Sql};

/// An item of a list that does not do what it says. In words it has one line, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} names {item}, {fault}")]
pub struct Misnamed {
    /// The setting: `PGTABLES` or a flag.
    pub setting: &'static str,
    /// The item, without quotes or escapes.
    pub item: String,
    /// What is wrong with it.
    pub fault: NameFault,
}

/// What is wrong with an item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// No table has that name. It may come later.
    NoTable,
    /// The table has no column of that name.
    NoColumn,
    /// Rows of a partitioned table go by the names of its partitions.
    Partitioned,
    /// Rows of a partition go by the name of its root, this one, if that is asked for.
    Partition(String),
    /// The column is of the primary key of this table, and perhaps of others.
    Key(String),
}

impl Misnamed {
    /// Whether something that was to be kept back is sent.
    pub fn exposes(&self) -> bool {
        self.setting != TABLES && !matches!(self.fault, NameFault::Key(_))
    }
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("which fits no table: check the spelling, or create it"),
            Self::NoColumn => f.write_str("which fits no column of the table: check the spelling"),
            Self::Partitioned => f.write_str(
                "which is partitioned, and its rows go by the names of its partitions: name those, \
                 or use --partition-root",
            ),
            Self::Partition(root) => write!(
                f,
                "a partition, and its rows go by the name of its root with --partition-root: name \
                 {root}"
            ),
            Self::Key(table) => write!(
                f,
                "a column of the primary key of {table}: without it no event says which row it is \
                 about"
            ),
        }
    }
}

/// Every item of the lists that does not do what it says, in the order of the lists. Memory does
/// not depend on the size of the catalog.
///
/// # Errors
///
/// The catalog could not be read.
pub async fn misnamed(sql: &Sql<'_>, options: &Options) -> Result<Vec<Misnamed>, PostgresError> {
    let mut lists = Lists::of(options);
    if !lists.tables.is_empty() {
        each(sql, RELATIONS, |row| lists.relation(&Relation::of(row))).await?;
    }
    if !lists.columns.is_empty() {
        each(sql, COLUMNS, |row| lists.column(&Relation::of(row), row)).await?;
    }
    Ok(lists.misnamed())
}

/// The setting that is not a flag only.
const TABLES: &str = "PGTABLES";

/// Names as the bytes that they are: those of a SQL_ASCII database need not be UTF-8.
const RELATIONS: &str = "SELECT pg_catalog.textsend(n.nspname::text),
        pg_catalog.textsend(c.relname::text), c.relkind = 'p',
        pg_catalog.textsend(rn.nspname::text), pg_catalog.textsend(r.relname::text)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class r
        ON c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid)
    LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'";

/// The same for each column, with its name and whether it is of the primary key.
const COLUMNS: &str = "SELECT pg_catalog.textsend(n.nspname::text),
        pg_catalog.textsend(c.relname::text), c.relkind = 'p',
        pg_catalog.textsend(rn.nspname::text), pg_catalog.textsend(r.relname::text),
        pg_catalog.textsend(a.attname::text), coalesce(a.attnum = ANY (i.indkey), false)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
    LEFT JOIN pg_catalog.pg_class r
        ON c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid)
    LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'";

async fn each(sql: &Sql<'_>, query: &str, mut look: impl FnMut(&Row)) -> Result<(), PostgresError> {
    let none: [&(dyn ToSql + Sync); 0] = [];
    let rows = sql.client().query_raw(query, none).await;
    let mut rows = pin!(rows.map_err(|error| sql.failure(error))?);
    while let Some(row) = rows.next().await {
        look(&row.map_err(|error| sql.failure(error))?);
    }
    Ok(())
}

/// A table, or the root or a branch of a partitioned one.
#[derive(Debug)]
struct Relation {
    name: (String, String),
    partitioned: bool,
    /// Of a partition: its topmost parent.
    root: Option<(String, String)>,
}

impl Relation {
    fn of(row: &Row) -> Self {
        let name = |schema| Some((text(row, schema)?, text(row, schema + 1)?));
        Self {
            name: name(0).unwrap_or_default(),
            partitioned: row.get(2),
            root: name(3),
        }
    }
}

fn text(row: &Row, column: usize) -> Option<String> {
    let bytes: Option<&[u8]> = row.get(column);
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// An item of a list, and what is known of it so far.
#[derive(Debug)]
struct Item<'a, P> {
    setting: &'static str,
    pattern: &'a P,
    /// Rows of a table go by a name that fits.
    fits_table: bool,
    fits: bool,
    /// It would fit if partitions went by other names.
    otherwise: Option<NameFault>,
    /// A table of whose key it takes a column.
    key: Option<String>,
}

impl<'a, P: fmt::Display> Item<'a, P> {
    fn new(setting: &'static str, pattern: &'a P) -> Self {
        Self {
            setting,
            pattern,
            fits_table: false,
            fits: false,
            otherwise: None,
            key: None,
        }
    }

    /// Looks at a relation; says whether rows go by a name that fits.
    fn relation(&mut self, table: &TablePattern, relation: &Relation, by_root: bool) -> bool {
        let is = |name: &(String, String)| table.matches(&name.0, &name.1);
        let fits = match (&relation.root, by_root) {
            // No row goes by its name, but those of its partitions by theirs.
            (_, false) if relation.partitioned => false,
            (Some(root), true) => is(root),
            _ => is(&relation.name),
        };
        self.fits_table |= fits;
        if !fits && is(&relation.name) && self.otherwise.is_none() {
            self.otherwise = match (&relation.root, by_root) {
                (Some((schema, name)), true) => {
                    Some(NameFault::Partition(format!("{schema}.{name}")))
                }
                (_, false) if relation.partitioned => Some(NameFault::Partitioned),
                _ => None,
            };
        }
        fits
    }

    fn misnamed(self) -> Option<Misnamed> {
        let fault = match (self.fits, self.fits_table, self.otherwise, self.key) {
            (true, _, _, Some(table)) => NameFault::Key(table),
            (true, _, _, None) => return None,
            (false, true, ..) => NameFault::NoColumn,
            (false, false, Some(otherwise), _) => otherwise,
            (false, false, None, _) => NameFault::NoTable,
        };
        Some(Misnamed {
            setting: self.setting,
            item: self.pattern.to_string(),
            fault,
        })
    }
}

/// The lists of the settings.
#[derive(Debug)]
struct Lists<'a> {
    tables: Vec<Item<'a, TablePattern>>,
    columns: Vec<Item<'a, ColumnPattern>>,
    by_root: bool,
}

impl<'a> Lists<'a> {
    fn of(options: &'a Options) -> Self {
        let items = |setting, list: Option<&'a pgevents_proto::TableList>| {
            let patterns = list.map(|list| list.patterns()).unwrap_or_default();
            patterns.iter().map(move |item| Item::new(setting, item))
        };
        let columns = options.exclude_columns().map(|list| list.patterns());
        let columns = columns.unwrap_or_default().iter();
        Self {
            tables: items(TABLES, options.tables())
                .chain(items("--exclude-tables", options.exclude_tables()))
                .collect(),
            columns: columns
                .map(|item| Item::new("--exclude-columns", item))
                .collect(),
            by_root: options.partition_root,
        }
    }

    fn relation(&mut self, relation: &Relation) {
        for item in &mut self.tables {
            item.relation(item.pattern, relation, self.by_root);
            item.fits = item.fits_table;
        }
    }

    fn column(&mut self, relation: &Relation, row: &Row) {
        let (column, is_key) = (text(row, 5).unwrap_or_default(), row.get(6));
        self.named_column(relation, &column, is_key);
    }

    fn named_column(&mut self, relation: &Relation, column: &str, is_key: bool) {
        for item in &mut self.columns {
            if item.relation(&item.pattern.table, relation, self.by_root)
                && item.pattern.matches_column(column)
            {
                item.fits = true;
                if is_key && item.key.is_none() {
                    item.key = Some(format!("{}.{}", relation.name.0, relation.name.1));
                }
            }
        }
    }

    fn misnamed(self) -> Vec<Misnamed> {
        let tables = self.tables.into_iter().filter_map(Item::misnamed);
        let columns = self.columns.into_iter().filter_map(Item::misnamed);
        tables.chain(columns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> (String, String) {
        ("public".to_owned(), name.to_owned())
    }

    fn relation(own: &str, partitioned: bool, root: Option<&str>) -> Relation {
        Relation {
            name: name(own),
            partitioned,
            root: root.map(name),
        }
    }

    /// What is said of these options in a database with `users (id, email)`, `log (at)`
    /// with its partition `log_1`, and a partitioned table `new (at)` that has none yet.
    fn check(options: &[(&str, &str)], expected: &[&str]) {
        let given = options.iter();
        let given = given.map(|(name, value)| (name.to_string(), Some(value.to_string())));
        let options = Options::parse(given).expect("options");
        let mut lists = Lists::of(&options);
        let users = relation("users", false, None);
        let part = relation("log_1", false, Some("log"));
        let roots = [relation("log", true, None), relation("new", true, None)];
        for relation in roots.iter().chain([&users, &part]) {
            lists.relation(relation);
        }
        for relation in roots.iter().chain([&part]) {
            lists.named_column(relation, "at", false);
        }
        lists.named_column(&users, "id", true);
        lists.named_column(&users, "email", false);
        let said: Vec<_> = lists.misnamed().iter().map(Misnamed::to_string).collect();
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn what_fits_is_not_mentioned() {
        check(&[], &[]);
        check(
            &[
                ("tables", "public.users,public.log_*,*.*"),
                ("exclude-tables", "public.u*"),
                ("exclude-columns", "*.*.email, public.log_1.at"),
            ],
            &[],
        );
        check(
            &[
                ("tables", "public.log,public.new"),
                ("partition-root", "on"),
                ("exclude-columns", "public.log.at,public.new.at"),
            ],
            &[],
        );
    }

    #[test]
    fn what_fits_nothing_is_told_with_the_reason() {
        check(
            &[
                ("tables", "public.usr"),
                ("exclude-tables", "private.*"),
                ("exclude-columns", "public.users.e_mail,public.pii.email"),
            ],
            &[
                "PGTABLES names public.usr, which fits no table",
                "--exclude-tables names private.*, which fits no table",
                "--exclude-columns names public.users.e_mail, which fits no column",
                "--exclude-columns names public.pii.email, which fits no table",
            ],
        );
    }

    #[test]
    fn names_of_roots_and_partitions_are_told_apart() {
        check(
            &[
                ("tables", "public.log"),
                ("exclude-tables", "public.log"),
                ("exclude-columns", "public.log.at"),
            ],
            &[
                "PGTABLES names public.log, which is partitioned",
                "--exclude-tables names public.log, which is partitioned",
                "--exclude-columns names public.log.at, which is partitioned",
            ],
        );
        check(
            &[
                ("partition-root", "on"),
                ("exclude-tables", "public.log_1"),
                ("exclude-columns", "public.log_1.at"),
            ],
            &[
                "--exclude-tables names public.log_1, a partition",
                "--exclude-columns names public.log_1.at, a partition",
            ],
        );
    }

    #[test]
    fn a_column_of_a_key_is_told_and_is_no_exposure() {
        check(
            &[("exclude-columns", "public.users.id")],
            &[
                "--exclude-columns names public.users.id, a column of the primary key of public.users",
            ],
        );
    }
}
