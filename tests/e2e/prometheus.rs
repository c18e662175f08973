//! The alert rules and the dashboard in front of a real Prometheus that scrapes a real relay.

use std::collections::BTreeSet;
use std::fs;

use pgevents_tests::dist;
use pgevents_tests::lab::{Lab, Monitoring, Prometheus};
use serde_json::Value;

/// What the rule compares with its limit: a rule that does not fire has no value at all, whether
/// its metrics exist or not.
fn measured(rule: &str) -> &str {
    let comparison = rule.rfind([' ', '\n']).expect("a limit");
    let before = [" == ", " > ", " < "];
    let end = before.iter().filter_map(|sign| rule.rfind(sign)).max();
    assert!(end.is_some_and(|end| end < comparison), "{rule}");
    &rule[..end.unwrap_or_default()]
}

/// The expressions of the dashboard's panels, for every slot and the last minute.
fn panels() -> Vec<String> {
    let file = dist::workspace().join("docs/monitoring/dashboard.json");
    let text = fs::read_to_string(file).expect("read the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("a dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets
        .flatten()
        .map(|target| target["expr"].as_str().expect("an expression"));
    expressions
        .map(|text| {
            text.replace("$slot", ".+")
                .replace("$__rate_interval", "1m")
        })
        .collect()
}

#[tokio::test]
async fn prometheus_answers_every_rule_and_every_panel() {
    let lab = Lab::with_own_postgres("max_slot_wal_keep_size = 1GB").await;
    lab.create_slot().await;
    lab.sql("CREATE TABLE users (id int PRIMARY KEY)").await;
    lab.sql("ALTER TABLE users REPLICA IDENTITY FULL").await;
    let mut queue = lab.queue().await;
    let relay = lab.producer().flags("--metrics-listen 127.0.0.1:0").start();
    let monitoring = Monitoring::of(&relay).await;
    lab.sql("INSERT INTO users VALUES (1)").await;
    queue.next().await;
    let rules = dist::workspace().join("docs/monitoring/alerts.yml");
    let prometheus = Prometheus::scraping(&monitoring, &rules).await;

    let up = prometheus.values_of("up{job=\"pgevents\"} == 1").await;
    assert_eq!(up.len(), 1, "{up:#?}");
    let rules = prometheus.rules().await;
    assert!(rules.len() > 8, "{rules:#?}");
    for rule in &rules {
        let query = rule["query"].as_str().expect("a query");
        prometheus.values_of(measured(query)).await;
    }
    let panels = panels();
    assert!(panels.len() > 20, "{panels:#?}");
    for panel in &panels {
        prometheus.values_of(panel).await;
    }

    // What Prometheus keeps is what the page has: nothing was lost for its form.
    let series = prometheus.values_of("{__name__=~\"pgevents_.+\"}").await;
    let kept: BTreeSet<&str> = series
        .iter()
        .filter_map(|sample| sample["metric"]["__name__"].as_str())
        .collect();
    let page = monitoring.page("/metrics").await.body;
    let shown: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('{').next())
        .collect();
    assert_eq!(kept, shown);
    lab.finish().await;
}
