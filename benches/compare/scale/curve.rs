//! Workloads that differ in one number only.

use crate::decode::Workload;

/// A quantity that grows, and the workload at each of its values.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What grows; the horizontal axis.
    pub grows: &'static str,
    /// What the cost is counted for; the vertical axis is microseconds for one of these.
    pub cost_of: &'static str,
    /// From the smallest on.
    pub points: Vec<Point>,
}

/// One workload of a curve.
#[derive(Clone, Debug)]
pub struct Point {
    /// The value of what grows.
    pub value: u64,
    /// How many of what the cost is counted for there are in the workload.
    pub units: u64,
    /// What is written.
    pub workload: Workload,
}

impl Curve {
    /// All of them.
    pub fn all() -> Vec<Self> {
        vec![rows(), tables(), columns()]
    }
}

fn rows() -> Curve {
    let point = |rows: u64| {
        let table = "CREATE TABLE narrow (id int PRIMARY KEY, v text);";
        let about = "inserts of 2 columns, at least 1,000,000 in all";
        let mut workload = Workload::new(&format!("rows_{rows}"), about, table.into());
        let transactions = (1_000_000 / rows).max(1);
        workload.add(transactions, rows, |from, to| {
            format!(
                "INSERT INTO narrow SELECT i, 'user name ' || i FROM generate_series({from}, {to}) i"
            )
        });
        Point {
            value: rows,
            units: workload.changes,
            workload,
        }
    };
    Curve {
        grows: "rows of a transaction",
        cost_of: "change",
        points: (3..=7).map(|power| point(10_u64.pow(power))).collect(),
    }
}

fn tables() -> Curve {
    const CHANGES: u64 = 500_000;
    let point = |tables: u64| {
        let make = format!(
            "DO $$ BEGIN FOR t IN 0..{} LOOP \
             EXECUTE format('CREATE TABLE t%s (id int, v text)', t); \
             IF t % 500 = 499 THEN COMMIT; END IF; END LOOP; END $$;",
            tables - 1
        );
        let about = "500,000 inserts of 2 columns, each into the next table, 1,000 a transaction";
        let mut workload = Workload::new(&format!("tables_{tables}"), about, make);
        workload.statements.push(format!(
            "DO $$ BEGIN FOR i IN 1..{CHANGES} LOOP \
             EXECUTE format('INSERT INTO t%s VALUES ($1, $2)', i % {tables}) \
             USING i, 'user name ' || i; \
             IF i % 1000 = 0 THEN COMMIT; END IF; END LOOP; END $$"
        ));
        workload.changes = CHANGES;
        Point {
            value: tables,
            units: CHANGES,
            workload,
        }
    };
    Curve {
        grows: "tables",
        cost_of: "change",
        points: (0..=4).map(|power| point(10_u64.pow(power))).collect(),
    }
}

fn columns() -> Curve {
    const VALUES: u64 = 8_000_000;
    let point = |columns: u64| {
        let list = |each: fn(u64) -> String| {
            let all: Vec<String> = (1..=columns).map(each).collect();
            all.join(", ")
        };
        let table = format!("CREATE TABLE wide ({})", list(|n| format!("c{n} int")));
        let about = "8,000,000 integers, 1,000 rows a transaction";
        let mut workload = Workload::new(&format!("columns_{columns}"), about, table);
        let values = list(|n| format!("i + {n}"));
        let rows = VALUES / columns;
        let size = rows.min(1_000);
        workload.add(rows / size, size, |from, to| {
            format!("INSERT INTO wide SELECT {values} FROM generate_series({from}, {to}) i")
        });
        Point {
            value: columns,
            units: workload.changes * columns,
            workload,
        }
    };
    Curve {
        grows: "columns",
        cost_of: "column",
        points: [1, 4, 16, 64, 256, 1_600].map(point).into(),
    }
}
