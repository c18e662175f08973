use std::fmt;

use serde::Serialize;

/// How serious a finding is; the names are those of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but something is lost, unsafe or will break one day.
    Warn,
    /// The relay cannot start, or events will be missing.
    Fail,
    /// It could not be looked at; the text says what is needed.
    Skip,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What one check found. Holds no secret and no row value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name of the check, e.g. `postgres.wal_level`.
    pub check: &'static str,
    /// What it is about where there can be several, e.g. a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How serious it is.
    pub level: Level,
    /// What was found, on one line.
    pub says: String,
    /// SQL or a command that mends it, or what to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, says.into(), None)
    }

    /// It works, and should still be mended.
    pub fn warn(check: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, says.into(), Some(fix.into()))
    }

    /// It has to be mended.
    pub fn fail(check: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, says.into(), Some(fix.into()))
    }

    /// A failure whose text names its remedy already.
    pub fn failure(check: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(
            check,
            Level::Fail,
            crate::exit::Chain(error).to_string(),
            None,
        )
    }

    /// It could not be looked at.
    pub fn skip(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Level::Skip, says.into(), None)
    }

    /// The same about one of several things.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    fn new(check: &'static str, level: Level, says: String, fix: Option<String>) -> Self {
        Self {
            check,
            subject: None,
            level,
            says,
            fix,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}  {}", self.level.name(), self.check)?;
        if let Some(subject) = &self.subject {
            write!(f, " {subject}")?;
        }
        write!(f, ": {}", self.says)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}
