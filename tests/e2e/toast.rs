//! Large values that an update leaves alone, for each replica identity and each way to store them.

use pgevents_tests::lab::Lab;

use crate::contract::check;

/// An identity, and what `old` holds under it besides nothing; the setting is SQL.
struct Identity {
    setting: &'static str,
    old: &'static str,
    /// Columns of a new row that such an `old` lacks, `title` and `body` not counted.
    unknown: &'static str,
}

const IDENTITIES: [Identity; 3] = [
    Identity {
        setting: "DEFAULT",
        old: r#"{"id":1}"#,
        unknown: r#""mail":"m","#,
    },
    Identity {
        setting: "USING INDEX documents_mail_key",
        old: r#"{"mail":"m"}"#,
        unknown: r#""id":1,"#,
    },
    Identity {
        setting: "NOTHING",
        old: "{}",
        unknown: r#""id":1,"mail":"m","#,
    },
];

/// A way to store a body, the body as SQL, and whether the row has only a pointer to it.
struct Storage {
    name: &'static str,
    body: &'static str,
    outside: bool,
}

const STORAGES: [Storage; 3] = [
    Storage {
        name: "EXTERNAL",
        body: "repeat(md5('x'), 100)",
        outside: true,
    },
    // Too large for the row even when it is compressed.
    Storage {
        name: "EXTENDED",
        body: "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 200) i) || repeat('z', 20000)",
        outside: true,
    },
    // Compressed to some bytes within the row, where every update writes it again.
    Storage {
        name: "MAIN",
        body: "repeat('long ', 1000)",
        outside: false,
    },
];

fn setup(identity: &str, storage: &Storage) -> String {
    let Storage { name, body, .. } = storage;
    format!(
        "CREATE TABLE documents (id int PRIMARY KEY, mail text NOT NULL UNIQUE, title text, body text);
         ALTER TABLE documents ALTER COLUMN body SET STORAGE {name};
         ALTER TABLE documents REPLICA IDENTITY {identity};
         INSERT INTO documents VALUES (1, 'm', 'a', {body})"
    )
}

/// The body, and proof that the server stores it as the table of storages says.
async fn stored(storage: &Storage) -> String {
    let lab = Lab::without_slot().await;
    lab.sql(&setup("DEFAULT", storage)).await;
    let query = "SELECT body, pg_column_size(body) < octet_length(body) AS compressed,
          pg_relation_size(reltoastrelid) > 0 AS outside
        FROM documents, pg_class WHERE relname = 'documents'";
    let row = lab.row(query).await;
    assert_eq!(
        (row.get("compressed"), row.get("outside")),
        (storage.name != "EXTERNAL", storage.outside),
        "{}",
        storage.name
    );
    let body = row.get("body");
    lab.finish().await;
    body
}

#[tokio::test]
async fn an_unchanged_large_value_is_absent_where_only_a_pointer_to_it_is_in_the_wal() {
    for storage in &STORAGES {
        let body = stored(storage).await;
        for Identity {
            setting,
            old,
            unknown,
        } in &IDENTITIES
        {
            let body = match storage.outside {
                true => String::new(),
                false => format!(r#","body":"{body}""#),
            };
            let update = format!(
                r#"{{"table_name":"public.documents","old":{old},"new":{{"id":1,"mail":"m","title":"b"{body}}},"id":1,"diff":{{{unknown}"title":"b"{body}}},"action":"U"}}"#
            );
            check(
                &setup(setting, storage),
                "UPDATE documents SET title = 'b'",
                &[&update],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn an_unchanged_large_value_comes_from_the_old_row_under_full() {
    for storage in &STORAGES {
        let body = stored(storage).await;
        let row =
            |title: &str| format!(r#"{{"id":1,"mail":"m","title":"{title}","body":"{body}"}}"#);
        let [a, b] = [row("a"), row("b")];
        check(
            &setup("FULL", storage),
            "UPDATE documents SET title = 'b'; DELETE FROM documents",
            &[
                &format!(r#"{{"table_name":"public.documents","old":{a},"new":{b},"id":1,"diff":{{"title":"b"}},"action":"U"}}"#),
                &format!(r#"{{"table_name":"public.documents","old":{b},"new":{{}},"id":1,"diff":{{}},"action":"D"}}"#),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_changed_large_value_is_in_new_and_diff_under_every_identity() {
    for storage in &STORAGES {
        let body = stored(storage).await;
        for Identity {
            setting,
            old,
            unknown,
        } in &IDENTITIES
        {
            let update = format!(
                r#"{{"table_name":"public.documents","old":{old},"new":{{"id":1,"mail":"m","title":"a","body":"{body}!"}},"id":1,"diff":{{{unknown}"title":"a","body":"{body}!"}},"action":"U"}}"#
            );
            check(
                &setup(setting, storage),
                "UPDATE documents SET body = body || '!'",
                &[&update],
            )
            .await;
        }
    }
}

/// The largest key that an index takes is large enough to be stored outside of the row.
#[tokio::test]
async fn an_unchanged_large_key_comes_from_the_old_key() {
    let key = "9dd4e461268c8034f5c8564e155c67a6".repeat(80);
    check(
        "CREATE TABLE pages (url text PRIMARY KEY, title text);
         ALTER TABLE pages ALTER COLUMN url SET STORAGE EXTERNAL;
         INSERT INTO pages VALUES (repeat(md5('x'), 80), 'a')",
        "UPDATE pages SET title = 'b'; DELETE FROM pages",
        &[
            &format!(r#"{{"table_name":"public.pages","old":{{"url":"{key}"}},"new":{{"url":"{key}","title":"b"}},"id":"{key}","diff":{{"title":"b"}},"action":"U"}}"#),
            &format!(r#"{{"table_name":"public.pages","old":{{"url":"{key}"}},"new":{{}},"id":"{key}","diff":{{}},"action":"D"}}"#),
        ],
    )
    .await;
}
