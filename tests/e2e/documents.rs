//! What the documents promise.

use std::fs;
use std::path::Path;
use std::process::Command;

use pgevents_tests::dist;
use pgevents_tests::lab::Lab;

/// Every file of a source folder, as text.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("list the sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(fs::read_to_string(path).expect("read a source"));
        }
    }
}

/// The words of a message before its first value, which tell it from others.
fn beginning(message: &str) -> &str {
    let end = message.find(['{', '(', ':', '\\', '\n', '"']);
    message[..end.unwrap_or(message.len())].trim()
}

#[test]
fn every_error_of_the_relay_has_its_remedy_in_the_list() {
    let list = dist::workspace().join("docs/errors.md");
    let list = fs::read_to_string(list).expect("read docs/errors.md");
    let mut files = Vec::new();
    sources(&dist::workspace().join("relay/src"), &mut files);
    let attributes = files.iter().flat_map(|text| text.split("#[error(").skip(1));
    let messages = attributes.filter_map(|rest| rest.trim_start().strip_prefix('"'));
    let messages: Vec<&str> = messages
        .map(beginning)
        .filter(|words| words.len() > 8)
        .collect();
    assert!(messages.len() > 30, "{messages:#?}");
    let missing: Vec<&&str> = messages
        .iter()
        .filter(|words| !list.contains(**words))
        .collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:#?}");
}

#[test]
fn the_committed_reference_is_that_of_the_relay() {
    let relay = dist::built(dist::relay()).expect("the relay");
    let printed = Command::new(relay).arg("reference").env_clear().output();
    let printed = String::from_utf8(printed.expect("run the relay").stdout).expect("UTF-8");
    let committed = fs::read_to_string(dist::workspace().join("docs/configuration.md"));
    assert!(
        committed.unwrap_or_default() == printed,
        "docs/configuration.md is not up to date: run `cargo dev codegen`"
    );
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = dist::workspace();
    let mut files: Vec<_> = fs::read_dir(root.join("docs"))
        .expect("list the documents")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect();
    files.push(root.join("README.md"));
    for file in files {
        let text = fs::read_to_string(&file).expect("read a document");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") {
                let folder = file.parent().expect("a folder");
                assert!(
                    folder.join(path).exists(),
                    "{} links to {target}",
                    file.display()
                );
            }
        }
    }
}

#[tokio::test]
async fn every_statement_of_the_operator_documents_runs() {
    let lab = Lab::start().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    let mut count = 0;
    for document in ["operations.md", "migrating.md"] {
        let file = dist::workspace().join("docs").join(document);
        let text = fs::read_to_string(file).expect("read a document");
        for block in text.split("```sql").skip(1) {
            lab.sql(block.split("```").next().unwrap_or_default()).await;
            count += 1;
        }
    }
    assert!(count > 4, "{count} statements found");
    lab.finish().await;
}

/// The steps of docs/migrating.md, with `test_decoding` in the place of the old plugin.
#[tokio::test]
async fn a_slot_of_another_plugin_is_swapped_without_loss() {
    let lab = Lab::without_slot().await;
    let name = lab.name();
    let old = format!("{name}_old");
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let make = format!("SELECT pg_create_logical_replication_slot('{old}', 'test_decoding')");
    lab.row(&make).await;
    let mut queue = lab.queue().await;
    lab.sql("INSERT INTO users SELECT generate_series(1, 10)")
        .await;
    // 2: the new slot, while the old reader is still at work.
    lab.create_slot().await;
    lab.sql("INSERT INTO users SELECT generate_series(11, 20)")
        .await;
    // 4: the old reader catches up past the beginning of the new slot, and is stopped.
    let read = format!("SELECT data FROM pg_logical_slot_get_changes('{old}', NULL, NULL)");
    let seen_by_old: Vec<String> = lab.rows(&read).await.iter().map(|row| row.get(0)).collect();
    let caught_up = format!(
        "SELECT old.confirmed_flush_lsn >= new.confirmed_flush_lsn
           FROM pg_replication_slots old, pg_replication_slots new
          WHERE old.slot_name = '{old}' AND new.slot_name = '{name}'"
    );
    assert_eq!(
        lab.row(&caught_up).await.get::<_, Option<bool>>(0),
        Some(true)
    );
    lab.sql("INSERT INTO users SELECT generate_series(21, 30)")
        .await;
    // 5 and 6: the relay sends everything since the new slot was made; the old slot goes.
    let relay = lab.producer().start();
    let events = queue.take(20).await;
    let seen_by_new: Vec<String> = events
        .iter()
        .map(|event| event.json()["id"].to_string())
        .collect();
    lab.row(&format!("SELECT pg_drop_replication_slot('{old}')"))
        .await;
    let expected: Vec<String> = (11..=30).map(|id: u32| id.to_string()).collect();
    assert_eq!(seen_by_new, expected);
    for id in 1..=20 {
        let text = format!("INSERT: id[integer]:{id}");
        assert!(
            seen_by_old.iter().any(|line| line.ends_with(&text)),
            "{id} is lost: {seen_by_old:#?}"
        );
    }
    relay.stop().await;
    lab.finish().await;
}

/// The permissions of docs/security.md.
#[tokio::test]
async fn the_documented_permissions_of_rabbitmq_are_enough() {
    let lab = Lab::start().await;
    let (name, broker) = (lab.name(), lab.rabbitmq());
    let run = |arguments: &[&str]| broker.control(arguments).expect("run rabbitmqctl");
    run(&["add_user", name, "relay-only"]);
    let exchange = format!("^{name}$");
    run(&[
        "set_permissions",
        "--vhost",
        "/",
        name,
        &exchange,
        &exchange,
        "",
    ]);
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let url = broker.url_of(name, "relay-only", "%2f");
    let relay = lab.producer().env("RABBITMQ_URL", &url).start();
    lab.sql("INSERT INTO users VALUES (1)").await;
    assert_eq!(queue.next().await.routing_key, "public.users");
    relay.stop().await;
    lab.slot_is_free().await;
    run(&["set_permissions", "--vhost", "/", name, "", &exchange, ""]);
    let relay = lab.producer().env("RABBITMQ_URL", &url);
    let relay = relay.flags("--exchange-declare off").start();
    lab.sql("INSERT INTO users VALUES (2)").await;
    assert_eq!(queue.next().await.json()["id"].to_string(), "2");
    relay.stop().await;
    lab.finish().await;
}
