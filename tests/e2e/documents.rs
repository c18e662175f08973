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

/// The fixed parts of a listed message: values (`...`, quoted, codes, names of settings) are left
/// out.
fn fixed_parts(message: &str) -> impl Iterator<Item = String> {
    let is_value = |word: &str| {
        let letters = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
        word.contains(['.', '"', '('])
            || letters.starts_with("--")
            || letters
                .chars()
                .all(|c| c.is_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let mut parts = vec![String::new()];
    for word in message.split_whitespace() {
        match (is_value(word), parts.last_mut()) {
            (false, Some(part)) => *part = format!("{part} {word}").trim().to_owned(),
            _ => parts.push(String::new()),
        }
    }
    parts.into_iter().filter(|part| part.len() > 8)
}

#[test]
fn every_listed_message_is_one_of_the_relay() {
    let list = dist::workspace().join("docs/errors.md");
    let list = fs::read_to_string(list).expect("read docs/errors.md");
    let mut files = Vec::new();
    sources(&dist::workspace().join("relay/src"), &mut files);
    // A literal that goes on in the next line is one text.
    let text = files.concat();
    let pieces = text.split("\\\n").enumerate();
    let text: String = pieces
        .map(|(at, piece)| if at == 0 { piece } else { piece.trim_start() })
        .collect();
    let cells = list.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = cells.filter_map(|line| line.split(" | ").next());
    let messages = cells.flat_map(|cell| cell.split('`').step_by(2));
    let parts: Vec<String> = messages.flat_map(fixed_parts).collect();
    assert!(parts.len() > 50, "{parts:#?}");
    let unknown: Vec<&String> = parts
        .iter()
        .filter(|part| !text.contains(part.as_str()))
        .collect();
    assert!(unknown.is_empty(), "no message of the relay: {unknown:#?}");
}

#[test]
fn every_exit_code_is_listed_and_no_other() {
    let read = |file: &str| {
        let file = dist::workspace().join(file);
        fs::read_to_string(file).expect("read a file")
    };
    let code = |text: &str| text.trim_matches([' ', ',']).parse::<u8>().ok();
    let source = read("relay/src/exit.rs");
    let variants = source.lines().filter_map(|line| line.split_once(" = "));
    let known: Vec<u8> = variants.filter_map(|(_, text)| code(text)).collect();
    assert!(known.len() > 8, "{known:?}");
    let list = read("docs/errors.md");
    let rows = list.lines().filter_map(|line| line.split('|').nth(1));
    let listed: Vec<u8> = rows.filter_map(code).collect();
    assert_eq!(listed, known, "docs/errors.md");
    let readme = read("README.md");
    let sentence = readme.split("**Exit codes**: ").nth(1).expect("a list");
    let sentence = sentence.split(". ").next().expect("its end");
    let sentence = sentence.replace('\n', " ");
    for code in known {
        let word = format!("{code} ");
        let mut items = sentence.split(", ");
        assert!(items.any(|item| item.trim().starts_with(&word)), "{code}");
    }
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

/// The permissions of docs/security.md.
#[tokio::test]
async fn the_documented_permissions_of_rabbitmq_are_enough() {
    let lab = Lab::start().await;
    let (name, broker) = (lab.name(), lab.rabbitmq());
    let run = |arguments: &[&str]| broker.control(arguments).expect("run rabbitmqctl");
    run(&["add_user", name, "relay-only"]);
    let security = dist::workspace().join("docs/security.md");
    let security = fs::read_to_string(security).expect("read docs/security.md");
    let line = security
        .lines()
        .find_map(|line| line.strip_prefix("rabbitmqctl set_permissions --vhost / relay "));
    let documented: Vec<String> = line
        .expect("the permissions")
        .split(' ')
        .map(|word| word.trim_matches('\'').replace("shop", name))
        .collect();
    let [configure, write, read] = &documented[..] else {
        panic!("not three permissions: {documented:?}");
    };
    run(&[
        "set_permissions",
        "--vhost",
        "/",
        name,
        configure,
        write,
        read,
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
    run(&["set_permissions", "--vhost", "/", name, "", write, ""]);
    let relay = lab.producer().env("RABBITMQ_URL", &url);
    let relay = relay.flags("--exchange-declare off --fence off").start();
    lab.sql("INSERT INTO users VALUES (2)").await;
    assert_eq!(queue.next().await.json()["id"].to_string(), "2");
    relay.stop().await;
    lab.finish().await;
}
