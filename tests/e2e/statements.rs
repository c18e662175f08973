//! Statements that write rows in their own ways.

use pgevents_tests::lab::Lab;

use crate::contract::check;

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, name text);
    ALTER TABLE users REPLICA IDENTITY FULL";

#[tokio::test]
async fn copy_is_an_insert_of_each_row() {
    check(
        USERS,
        r#"COPY users FROM PROGRAM 'printf "1\ta\n2\t\\\\N\n"'"#,
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"name":"a"},"id":1,"diff":{"id":1,"name":"a"},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":2,"name":null},"id":2,"diff":{"id":2},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn create_table_as_is_an_insert_of_each_row() {
    check(
        "CREATE TABLE before (id int)",
        "CREATE TABLE copies AS SELECT i AS id FROM generate_series(1, 2) i",
        &[
            r#"{"table_name":"public.copies","old":{},"new":{"id":1},"id":1,"diff":{"id":1},"action":"I"}"#,
            r#"{"table_name":"public.copies","old":{},"new":{"id":2},"id":2,"diff":{"id":2},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn on_conflict_is_what_was_done_in_the_end() {
    check(
        &format!("{USERS}; INSERT INTO users VALUES (1, 'a')"),
        "INSERT INTO users VALUES (1, 'b') ON CONFLICT DO NOTHING;
         INSERT INTO users VALUES (1, 'c'), (2, 'd') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
         INSERT INTO users VALUES (1, 'e') ON CONFLICT (id) DO UPDATE SET name = 'f' WHERE users.id > 1",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"name":"a"},"new":{"id":1,"name":"c"},"id":1,"diff":{"name":"c"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":2,"name":"d"},"id":2,"diff":{"id":2,"name":"d"},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn merge_is_each_row_that_it_wrote() {
    let lab = Lab::without_slot().await;
    let major = lab.postgres().installation().major;
    lab.finish().await;
    if major < 15 {
        // PostgreSQL has it from 15 on.
        return;
    }
    check(
        &format!("{USERS}; INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c')"),
        "MERGE INTO users USING (VALUES (1, 'x'), (2, NULL), (3, 'c'), (4, 'd')) AS s (id, name)
           ON users.id = s.id
         WHEN MATCHED AND s.name IS NULL THEN DELETE
         WHEN MATCHED AND s.name = users.name THEN DO NOTHING
         WHEN MATCHED THEN UPDATE SET name = s.name
         WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)",
        &[
            r#"{"table_name":"public.users","old":{"id":1,"name":"a"},"new":{"id":1,"name":"x"},"id":1,"diff":{"name":"x"},"action":"U"}"#,
            r#"{"table_name":"public.users","old":{"id":2,"name":"b"},"new":{},"id":2,"diff":{},"action":"D"}"#,
            r#"{"table_name":"public.users","old":{},"new":{"id":4,"name":"d"},"id":4,"diff":{"id":4,"name":"d"},"action":"I"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn locking_rows_is_no_event() {
    check(
        &format!("{USERS}; INSERT INTO users VALUES (1, 'a')"),
        "SELECT * FROM users FOR UPDATE; SELECT * FROM users FOR KEY SHARE;
         BEGIN; SELECT * FROM users FOR NO KEY UPDATE; COMMIT",
        &[],
    )
    .await;
}

#[tokio::test]
async fn triggers_and_cascades_are_seen_in_what_they_wrote() {
    check(
        &format!(
            "{USERS}; CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE);
             ALTER TABLE orders REPLICA IDENTITY FULL;
             CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN NEW.name = upper(NEW.name); RETURN NEW; END';
             CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION shout()"
        ),
        "INSERT INTO users VALUES (1, 'a'); INSERT INTO orders VALUES (7, 1); DELETE FROM users",
        &[
            r#"{"table_name":"public.users","old":{},"new":{"id":1,"name":"A"},"id":1,"diff":{"id":1,"name":"A"},"action":"I"}"#,
            r#"{"table_name":"public.orders","old":{},"new":{"id":7,"user_id":1},"id":7,"diff":{"id":7,"user_id":1},"action":"I"}"#,
            r#"{"table_name":"public.users","old":{"id":1,"name":"A"},"new":{},"id":1,"diff":{},"action":"D"}"#,
            r#"{"table_name":"public.orders","old":{"id":7,"user_id":1},"new":{},"id":7,"diff":{},"action":"D"}"#,
        ],
    )
    .await;
}
