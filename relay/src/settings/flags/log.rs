use clap::Args;

use super::Word;
use crate::log::Format;

/// How to log, to standard error.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Form of a line
    #[arg(long, value_enum, default_value_t = Word(Format::Text), value_name = "FORM")]
    pub log_format: Word<Format>,
    /// error, warn, info, debug, trace or off [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl LogArgs {
    /// The level, if one is given.
    pub fn level(&self) -> Option<&str> {
        self.log_level.as_deref().filter(|level| !level.is_empty())
    }
}
