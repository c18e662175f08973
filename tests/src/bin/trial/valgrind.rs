//! The plugin in a server under valgrind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use pgevents_tests::{differential, lab::Lab};

use pgevents_dev::progress::{BAD, GOOD};

/// Everything that the plugin does besides rows; [`differential`] does the rows.
const REST: &str = "
    CREATE TABLE rest (id int PRIMARY KEY, body text, parts text[]) PARTITION BY RANGE (id);
    CREATE TABLE rest_1 PARTITION OF rest FOR VALUES FROM (0) TO (1000);
    ALTER TABLE rest_1 REPLICA IDENTITY FULL;
    INSERT INTO rest SELECT i, repeat('x', i * 100), ARRAY['a'] FROM generate_series(1, 50) i;
    UPDATE rest SET id = id + 100, body = body || 'y' WHERE id < 10;
    UPDATE rest SET body = body WHERE id < 30;
    SELECT pg_logical_emit_message(true, 'pgevents:a', 'b');
    SELECT pg_logical_emit_message(false, 'pgevents:a', repeat('b', 2000));
    DELETE FROM rest WHERE id > 40;
    TRUNCATE rest";

/// Options under which the rest is read.
const OPTIONS: [&str; 3] = [
    "'messages', 'pgevents:', 'actions', 'insert,update,delete,truncate', 'max-value-bytes', '1000'",
    "'partition-root', 'on', 'skip-noop', 'on', 'tables', 'public.rest', 'exclude-columns', '*.*.parts'",
    "'exclude-tables', 'public.r*, \"a\".\"b\"', 'origin', 'none'",
];

/// Runs that many seeds of the differential campaign, and the rest, on a server under valgrind.
///
/// # Errors
///
/// When valgrind has something to say of the plugin, or an event is wrong.
pub fn run(first: u64, seeds: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let logs = tempfile::tempdir().context("make a folder for valgrind's reports")?;
    // The server writes there, as another user if this one is root.
    fs::set_permissions(logs.path(), PermissionsExt::from_mode(0o777))?;
    let log_file = format!("--log-file={}/%p", logs.path().display());
    let runner = [
        "valgrind",
        "--num-callers=50",
        "--error-limit=no",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        log_file.as_str(),
    ];
    let runtime = tokio::runtime::Runtime::new()?;
    let compared = runtime.block_on(under(&runner, first, seeds))?;
    let (processes, reports) = reports(logs.path())?;
    let took = started.elapsed().as_secs_f32();
    for report in &reports {
        anstream::println!("{BAD}✗{BAD:#} {report}\n");
    }
    anstream::println!(
        "{GOOD}{compared} changes of {seeds} seeds, {processes} server processes under valgrind in \
         {took:.0} s, {} reports with the plugin in their stack{GOOD:#}",
        reports.len()
    );
    match reports.is_empty() {
        true => Ok(()),
        false => bail!("valgrind has {} reports of the plugin", reports.len()),
    }
}

/// Starts the server, works, and stops it, so that every process has written its report.
async fn under(runner: &[&str], first: u64, seeds: u64) -> anyhow::Result<usize> {
    let mut lab = Lab::with_postgres_under(runner, "autovacuum = off").await;
    // The server ends the lab's connection when it is stopped.
    lab.allow("terminating connection due to administrator command");
    let mut compared = 0;
    for seed in first..first.saturating_add(seeds) {
        lab.create_slot().await;
        let client = lab.postgres().connect(lab.name()).await?;
        let outcome = differential::run(&client, lab.name(), seed).await;
        compared += outcome.map_err(anyhow::Error::msg)?;
        drop(client);
        clear(&lab).await;
    }
    lab.create_slot().await;
    lab.sql(REST).await;
    for options in OPTIONS {
        for function in ["peek_changes", "peek_binary_changes"] {
            let format = if function == "peek_changes" {
                "json"
            } else {
                "binary"
            };
            lab.rows(&format!(
                "SELECT data FROM pg_logical_slot_{function}('{}', NULL, NULL, 'format', '{format}', {options})",
                lab.name()
            ))
            .await;
        }
    }
    clear(&lab).await;
    lab.own_postgres().stop().await?;
    // The lab ends with SQL.
    lab.own_postgres().run().await?;
    lab.reconnect().await;
    lab.finish().await;
    Ok(compared)
}

/// Takes the slot and every table away.
async fn clear(lab: &Lab) {
    lab.sql(&format!(
        "SELECT pg_drop_replication_slot('{}')",
        lab.name()
    ))
    .await;
    lab.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .await;
}

/// How many processes wrote a report, and what they say with the plugin in the stack.
fn reports(folder: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let (mut processes, mut reports) = (0, Vec::new());
    for entry in fs::read_dir(folder)? {
        let text = fs::read(entry?.path())?;
        let text = String::from_utf8_lossy(&text);
        processes += 1;
        reports.extend(of_the_plugin(&text));
    }
    reports.sort_unstable();
    Ok((processes, reports))
}

/// The paragraphs of a report, each `==PID== ` and text a line, that name the plugin's library.
fn of_the_plugin(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split_once("== ").map_or("", |(_, text)| text))
        .collect();
    let paragraphs = lines.split(|line| line.trim().is_empty());
    paragraphs
        .filter(|lines| lines.iter().any(|line| line.contains("pgevents.so")))
        .map(|lines| lines.join("\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::of_the_plugin;

    #[test]
    fn only_reports_with_the_plugin_in_the_stack_count() {
        let text = "==7== Command: postgres\n==7== \n\
            ==7== Invalid read of size 4\n==7==    at 0x1: pgevents::x (in /a/pgevents.so)\n==7== \n\
            ==7== Invalid read of size 8\n==7==    at 0x2: palloc (in /a/postgres)\n==7== \n";
        assert_eq!(
            of_the_plugin(text),
            ["Invalid read of size 4\n   at 0x1: pgevents::x (in /a/pgevents.so)"]
        );
    }
}
