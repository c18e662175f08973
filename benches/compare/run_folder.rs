//! The files of one run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A folder that a run writes its results into.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder `name` in `parent`, if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn make(parent: &Path, name: &str) -> anyhow::Result<Self> {
        let path = parent.join(name);
        fs::create_dir_all(&path).with_context(|| format!("make folder {}", path.display()))?;
        Ok(Self { path })
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a text file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.file(name);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }
}

/// Lines of a Markdown table.
pub fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    let rule = head.iter().enumerate();
    let rule: Vec<String> = rule
        .map(|(n, _)| if n == 0 { "---" } else { "---:" }.to_owned())
        .collect();
    text.push_str(&line(&rule));
    for row in rows {
        text.push_str(&line(row));
    }
    text
}
