//! What is written before the plugins read it.

use std::fmt::Write;

/// Tables and the changes made to them.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name in the results, also of the database.
    pub name: String,
    /// One line on what it is.
    pub about: &'static str,
    /// Makes the tables, before the slots.
    pub tables: String,
    /// Writes rows that no plugin shall see, before the slots.
    pub before: Vec<String>,
    /// The changes. Each statement is a transaction of its own, or has its own COMMITs.
    pub statements: Vec<String>,
    /// How many rows the statements change.
    pub changes: u64,
    /// The one table that filters let pass, where the workload is about filters.
    pub only_table: Option<&'static str>,
    /// Whether nothing changes in the rows that it updates.
    pub noop: bool,
}

/// Rows in a transaction, where a workload does not say otherwise.
const ROWS: u64 = 1_000;

/// Columns of the wide table.
const COLUMNS: usize = 100;

const NARROW: &str = "CREATE TABLE narrow (id int PRIMARY KEY, v text); \
     ALTER TABLE narrow REPLICA IDENTITY FULL;";

const TWELVE: &str = "CREATE TABLE twelve (id bigint PRIMARY KEY, a int, b smallint, c text, \
     d varchar(40), e timestamptz, f date, g bool, h float8, i numeric(12,2), j uuid, k text); \
     ALTER TABLE twelve REPLICA IDENTITY FULL;";

impl Workload {
    /// All of them, in the order of the reports.
    pub fn all() -> Vec<Self> {
        vec![
            narrow_inserts(),
            mixed(),
            one_row_transactions(),
            hundred_columns(),
            update_one_of_hundred(),
            large_values(),
            filtered(),
            noop_updates(),
        ]
    }

    /// A workload without changes yet.
    pub fn new(name: &str, about: &'static str, tables: String) -> Self {
        Self {
            name: name.into(),
            about,
            tables,
            before: Vec::new(),
            statements: Vec::new(),
            changes: 0,
            only_table: None,
            noop: false,
        }
    }

    /// Adds `transactions` statements of `rows` rows each; `statement` gets the first and the last
    /// id of its rows.
    pub fn add(&mut self, transactions: u64, rows: u64, statement: impl Fn(u64, u64) -> String) {
        self.statements
            .extend(batches(transactions, rows, statement));
        self.changes += transactions * rows;
    }
}

fn batches(
    transactions: u64,
    rows: u64,
    statement: impl Fn(u64, u64) -> String,
) -> impl Iterator<Item = String> {
    (0..transactions).map(move |n| statement(n * rows + 1, (n + 1) * rows))
}

fn narrow_inserts() -> Workload {
    let about = "500,000 inserts of 2 columns, 1,000 a transaction";
    let mut workload = Workload::new("narrow_inserts", about, NARROW.into());
    workload.add(500, ROWS, insert_narrow);
    workload
}

fn mixed() -> Workload {
    let about = "500,000 inserts of 2 columns, 100,000 inserts of 12 columns, 100,000 updates of \
         2 of these 12 under REPLICA IDENTITY FULL; 1,000 a transaction";
    let mut workload = Workload::new("mixed", about, format!("{NARROW} {TWELVE}"));
    workload.add(500, ROWS, insert_narrow);
    workload.add(100, ROWS, insert_twelve);
    workload.add(100, ROWS, |from, to| {
        format!("UPDATE twelve SET a = a + 1, c = c || '!' WHERE id BETWEEN {from} AND {to}")
    });
    workload
}

fn one_row_transactions() -> Workload {
    let about = "200,000 transactions, each the insert of one row of 2 columns";
    let mut workload = Workload::new("one_row_transactions", about, NARROW.into());
    workload.statements.push(
        "DO $$ BEGIN FOR i IN 1..200000 LOOP \
         INSERT INTO narrow VALUES (i, 'user name ' || i); COMMIT; END LOOP; END $$"
            .into(),
    );
    workload.changes = 200_000;
    workload
}

fn hundred_columns() -> Workload {
    let about = "50,000 inserts of 100 columns (int, text, timestamptz, numeric, bool in turn), 500 \
         a transaction";
    let mut workload = Workload::new("hundred_columns", about, hundred_table());
    workload.add(100, 500, insert_hundred);
    workload
}

fn update_one_of_hundred() -> Workload {
    let about = "50,000 updates of 1 of 100 columns under REPLICA IDENTITY FULL, 500 a transaction";
    let mut workload = Workload::new("update_one_of_hundred", about, hundred_table());
    workload.before = batches(100, 500, insert_hundred).collect();
    workload.add(100, 500, |from, to| {
        format!("UPDATE hundred SET c5 = c5 + 1 WHERE id BETWEEN {from} AND {to}")
    });
    workload
}

fn large_values() -> Workload {
    let about = "4,000 inserts of a text of 32 KiB stored out of line, 4,000 updates of a number \
         beside it under REPLICA IDENTITY FULL; 100 a transaction";
    let tables = "CREATE TABLE document (id int PRIMARY KEY, revision int, body text); \
         ALTER TABLE document ALTER body SET STORAGE EXTERNAL; \
         ALTER TABLE document REPLICA IDENTITY FULL;";
    let mut workload = Workload::new("large_values", about, tables.into());
    workload.add(40, 100, |from, to| {
        format!(
            "INSERT INTO document SELECT i, 1, repeat(md5(i::text), 1024) \
             FROM generate_series({from}, {to}) i"
        )
    });
    workload.add(40, 100, |from, to| {
        format!("UPDATE document SET revision = revision + 1 WHERE id BETWEEN {from} AND {to}")
    });
    workload
}

fn filtered() -> Workload {
    let about = "500,000 inserts of 2 columns into 10 tables in turn, 1,000 a transaction; one \
         table is wanted";
    let mut tables = String::new();
    for n in 0..10 {
        // Writing to a String cannot fail.
        let _ = write!(tables, "CREATE TABLE t{n} (id int PRIMARY KEY, v text); ");
    }
    let mut workload = Workload::new("filtered", about, tables);
    workload.add(500, ROWS, |from, to| {
        let table = from / ROWS % 10;
        format!(
            "INSERT INTO t{table} SELECT i, 'user name ' || i FROM generate_series({from}, {to}) i"
        )
    });
    workload.only_table = Some("t0");
    workload
}

fn noop_updates() -> Workload {
    let about = "200,000 updates that change nothing, 2 columns under REPLICA IDENTITY FULL, 1,000 \
         a transaction";
    let mut workload = Workload::new("noop_updates", about, NARROW.into());
    workload.before = batches(200, ROWS, insert_narrow).collect();
    workload.add(200, ROWS, |from, to| {
        format!("UPDATE narrow SET v = v WHERE id BETWEEN {from} AND {to}")
    });
    workload.noop = true;
    workload
}

fn insert_narrow(from: u64, to: u64) -> String {
    format!("INSERT INTO narrow SELECT i, 'user name ' || i FROM generate_series({from}, {to}) i")
}

fn insert_twelve(from: u64, to: u64) -> String {
    format!(
        "INSERT INTO twelve SELECT i, i % 1000, (i % 100)::smallint, 'text number ' || i, \
         'varchar ' || i, '2026-01-01'::timestamptz + i * interval '1 second', \
         '2026-01-01'::date + (i % 1000)::int, i % 2 = 0, i * 1.5, (i * 0.37)::numeric(12,2), \
         md5(i::text)::uuid, repeat('k', 20) FROM generate_series({from}, {to}) i"
    )
}

/// The types of the wide table, in turn, with a value made from the row's id `i`.
const KINDS: [(&str, &str); 5] = [
    ("int", "i"),
    ("text", "'text number ' || i"),
    (
        "timestamptz",
        "'2026-01-01'::timestamptz + i * interval '1 second'",
    ),
    ("numeric(12,2)", "i * 0.37"),
    ("bool", "i % 2 = 0"),
];

fn hundred_table() -> String {
    let column = |n: usize| format!("c{n} {}", KINDS[n % KINDS.len()].0);
    let columns: Vec<String> = (1..COLUMNS).map(column).collect();
    format!(
        "CREATE TABLE hundred (id int PRIMARY KEY, {}); ALTER TABLE hundred REPLICA IDENTITY FULL;",
        columns.join(", ")
    )
}

fn insert_hundred(from: u64, to: u64) -> String {
    let values: Vec<&str> = (1..COLUMNS).map(|n| KINDS[n % KINDS.len()].1).collect();
    format!(
        "INSERT INTO hundred SELECT i, {} FROM generate_series({from}, {to}) i",
        values.join(", ")
    )
}
