//! The tables of one seed, and what happens to them.

use fastrand::Rng;
use tokio_postgres::Client;

use super::literal::Type;

const TABLES: usize = 3;

const TYPES: &str = "CREATE TYPE mood AS ENUM ('happy', 'sad \"x\"');
    CREATE TYPE pair AS (a int, b text, c timestamptz);
    CREATE DOMAIN positive AS int CHECK (value > 0)";

/// What may happen next is chosen by what the tables are now.
#[derive(Debug)]
pub struct World {
    rng: Rng,
    tables: Vec<Table>,
    columns_made: usize,
}

#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<(String, Type)>,
}

impl World {
    /// Everything that follows is determined by the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            tables: Vec::new(),
            columns_made: 0,
        }
    }

    /// The statements that make the tables.
    pub fn tables(&mut self) -> Vec<String> {
        let mut statements = vec![TYPES.to_owned()];
        for number in 0..TABLES {
            let name = format!("t{number}");
            let columns: Vec<String> = (0..self.rng.usize(1..12))
                .map(|_| self.new_column())
                .collect();
            let (id, key) = match self.rng.u8(..5) {
                0 => ("id int", ""),
                1 => ("a int, b text", ", PRIMARY KEY (b, a)"),
                2 => ("key text PRIMARY KEY, id int", ""),
                _ => ("id int PRIMARY KEY", ""),
            };
            statements.push(format!(
                "CREATE TABLE {name} ({id}, {}{key})",
                columns.join(", ")
            ));
            statements.push(format!(
                "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {name}
                 FOR EACH ROW EXECUTE FUNCTION audit()"
            ));
            if self.rng.bool() {
                statements.push(format!("ALTER TABLE {name} REPLICA IDENTITY FULL"));
            }
            self.tables.push(Table {
                name,
                columns: Vec::new(),
            });
        }
        statements
    }

    /// Looks which columns there are now; a statement may have been refused.
    pub async fn refresh(&mut self, client: &Client) -> Result<(), String> {
        for table in &mut self.tables {
            let query = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
                         WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
            let rows = client.query(query, &[&table.name]).await;
            let rows = rows.map_err(|error| format!("look at {}: {error}", table.name))?;
            table.columns = rows
                .iter()
                .map(|row| (row.get(0), Type::named(row.get(1))))
                .collect();
        }
        Ok(())
    }

    /// The next thing to do: often one row change, sometimes many in one transaction, sometimes to
    /// the schema, sometimes something that is taken back.
    pub fn statement(&mut self) -> String {
        match self.rng.u8(..20) {
            0 | 1 => self.schema_change(),
            2 => {
                let inner: Vec<String> = (0..4).map(|_| self.row_change()).collect();
                format!(
                    "BEGIN; {}; {}; {}; COMMIT",
                    inner[0],
                    self.schema_change(),
                    inner[1]
                )
            }
            3 => format!("BEGIN; {}; ROLLBACK", self.row_change()),
            4 => format!(
                "BEGIN; {}; SAVEPOINT s; {}; ROLLBACK TO s; {}; COMMIT",
                self.row_change(),
                self.row_change(),
                self.row_change()
            ),
            5 => {
                let changes: Vec<String> = (0..12).map(|_| self.row_change()).collect();
                format!("BEGIN; {}; COMMIT", changes.join("; "))
            }
            _ => self.row_change(),
        }
    }

    fn row_change(&mut self) -> String {
        let table = self.rng.usize(..self.tables.len());
        if self.tables[table].columns.is_empty() {
            return "SELECT 1".to_owned();
        }
        let name = self.tables[table].name.clone();
        let some_rows = [
            "TRUE",
            "ctid IN (SELECT ctid FROM {t} LIMIT 1)",
            "ctid IN (SELECT ctid FROM {t} OFFSET 1 LIMIT 3)",
        ];
        let rows = some_rows[self.rng.usize(..3)].replace("{t}", &name);
        match self.rng.u8(..10) {
            0..=4 => self.insert(table),
            5..=7 => {
                let (column, of) = self.column(table);
                // One time in four nothing changes; a large value that stays is the odd case.
                let value = match self.rng.u8(..4) {
                    0 => column.clone(),
                    _ => of.value(&mut self.rng),
                };
                format!("UPDATE {name} SET {column} = {value} WHERE {rows}")
            }
            8 => {
                let (column, of) = self.column(table);
                let (other, kind) = self.column(table);
                if column == other {
                    return self.insert(table);
                }
                let (value, second) = (of.value(&mut self.rng), kind.value(&mut self.rng));
                format!("UPDATE {name} SET {column} = {value}, {other} = {second} WHERE {rows}")
            }
            _ => format!(
                "DELETE FROM {name} WHERE {}",
                rows.replace("TRUE", "random() < 0.3")
            ),
        }
    }

    fn insert(&mut self, table: usize) -> String {
        let columns = self.tables[table].columns.clone();
        let rows: Vec<String> = (0..self.rng.usize(1..4))
            .map(|_| {
                let values: Vec<String> = columns
                    .iter()
                    .map(|(name, of)| match name.as_str() {
                        // Keys are seldom NULL, so that most rows are accepted.
                        "id" | "a" | "b" | "key" => format!("'{}'", self.rng.u32(..1_000_000)),
                        _ => of.value(&mut self.rng),
                    })
                    .collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let name = &self.tables[table].name;
        format!(
            "INSERT INTO {name} ({}) VALUES {}",
            names.join(", "),
            rows.join(", ")
        )
    }

    fn schema_change(&mut self) -> String {
        let table = self.rng.usize(..self.tables.len());
        let name = self.tables[table].name.clone();
        match self.rng.u8(..9) {
            0 | 1 => format!("ALTER TABLE {name} ADD COLUMN {}", self.new_column()),
            2 => {
                let of = Type::any(&mut self.rng);
                let value = of.value(&mut self.rng);
                // A volatile-free default is kept in the catalog, not in the old rows.
                let default = if value.contains("SELECT") { "NULL".to_owned() } else { value };
                self.columns_made += 1;
                format!("ALTER TABLE {name} ADD COLUMN c{} {} DEFAULT {default}", self.columns_made, of.name)
            }
            3 | 4 => {
                let (column, _) = self.column(table);
                match column.starts_with('c') {
                    true => format!("ALTER TABLE {name} DROP COLUMN {column}"),
                    false => "SELECT 1".to_owned(),
                }
            }
            5 => {
                let (column, _) = self.column(table);
                self.columns_made += 1;
                match column.starts_with('c') {
                    true => format!("ALTER TABLE {name} RENAME COLUMN {column} TO c{}", self.columns_made),
                    false => "SELECT 1".to_owned(),
                }
            }
            6 => {
                let (column, _) = self.column(table);
                match column.starts_with('c') {
                    true => format!("ALTER TABLE {name} ALTER COLUMN {column} TYPE text USING {column}::text"),
                    false => "SELECT 1".to_owned(),
                }
            }
            7 => format!("ALTER TABLE {name} REPLICA IDENTITY {}", ["FULL", "DEFAULT", "NOTHING"][self.rng.usize(..3)]),
            _ => format!(
                "CREATE UNIQUE INDEX {name}_i{0} ON {name} (id); ALTER TABLE {name} ALTER COLUMN id SET NOT NULL;
                 ALTER TABLE {name} REPLICA IDENTITY USING INDEX {name}_i{0}",
                self.rng.u32(..)
            ),
        }
    }

    fn new_column(&mut self) -> String {
        self.columns_made += 1;
        format!("c{} {}", self.columns_made, Type::any(&mut self.rng).name)
    }

    fn column(&mut self, table: usize) -> (String, Type) {
        match self.tables[table].columns.as_slice() {
            [] => ("id".to_owned(), Type::named("integer")),
            columns => columns[self.rng.usize(..columns.len())].clone(),
        }
    }
}
