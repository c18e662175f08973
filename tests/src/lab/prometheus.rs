//! A private Prometheus that scrapes one relay and loads the alert rules of the project.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::fail;
use super::monitoring::Monitoring;
use pgevents_servers::Process;
use pgevents_servers::port;
use pgevents_servers::{During, ServerError as LabError};

/// A Prometheus server: running, and gone with its data when the value is dropped.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    api: Monitoring,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `relay` every second, under the job's name that the rules take for
    /// granted.
    ///
    /// # Panics
    ///
    /// When Prometheus is not installed, or refuses its configuration or the rules.
    pub async fn scraping(relay: &Monitoring, rules: &Path) -> Self {
        let started = Self::start(relay, rules).await;
        started.unwrap_or_else(|error| fail(&error))
    }

    async fn start(relay: &Monitoring, rules: &Path) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().during(|| "make a folder for Prometheus".into())?;
        let configuration = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n  - job_name: pgevents\n    static_configs: [{{targets: ['{}']}}]\n",
            rules.display(),
            relay.address(),
        );
        fs::write(&configuration, text).during(|| "configure Prometheus".into())?;
        let address = format!("127.0.0.1:{}", port::free()?);
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start("Prometheus", &mut command, Signal::KILL)?;
        let ready = |line: &str| line.contains("Server is ready to receive web requests");
        process
            .line(process.stderr(), 0, "readiness", ready)
            .await?;
        Ok(Self {
            _process: process,
            api: Monitoring::at(&address),
            _folder: folder,
        })
    }

    /// The rules as it has loaded them.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.api.page("/api/v1/rules").await;
        let groups = data(&answer.body)["groups"].clone();
        let groups = groups.as_array().expect("groups of rules");
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        rules.flatten().cloned().collect()
    }

    /// Asks until an expression has at least one value, and gives all of them.
    ///
    /// # Panics
    ///
    /// When it has none in time.
    pub async fn values_of(&self, expression: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", escaped(expression));
        let values = |body: &str| data(body)["result"].as_array().cloned().unwrap_or_default();
        let page = self
            .api
            .until(&path, |page| !values(&page.body).is_empty())
            .await;
        values(&page.body)
    }
}

fn data(body: &str) -> Value {
    let answer: Value = serde_json::from_str(body).expect("an answer is JSON");
    assert_eq!(answer["status"], "success", "{answer:#}");
    answer["data"].clone()
}

/// As part of a URL.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
