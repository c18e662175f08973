//! Log lines.

mod lines;

use std::{
    io::{IsTerminal, stderr},
    sync::OnceLock,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, registry};

pub use lines::one_line;
use lines::{LastLines, Lines};

static LAST: OnceLock<LastLines> = OnceLock::new();

/// Prefix of the targets that are logged. Libraries are left out at every level: lapin prints whole
/// messages, and those hold rows.
const TARGET: &str = "pgevents";

/// The level does not parse: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("log level {0:?}: use error, warn, info, debug, trace or off")]
pub struct LevelError(String);

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Starts to log to standard error; [`finish`] is to be called before the process ends.
///
/// The level is `info` if none is given; directives such as `pgevents_relay::walsender=debug` work,
/// those for other crates change nothing.
///
/// # Errors
///
/// The level does not parse.
pub fn start(format: Format, level: Option<&str>) -> Result<(), LevelError> {
    let filter = filter(level.unwrap_or("info"))?;
    let colours = stderr().is_terminal();
    let (writer, last) = Lines::to(stderr(), format, colours);
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let layer = match format {
        Format::Text => lines.with_target(false).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = registry().with(layer.with_filter(filter));
    // A second start, as in tests, keeps the first subscriber.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        drop(LAST.set(last));
    }
    Ok(())
}

/// Waits until everything that was logged has been written, unless nobody reads it.
pub fn finish() {
    if let Some(last) = LAST.get() {
        last.wait();
    }
}

fn filter(text: &str) -> Result<Targets, LevelError> {
    let fault = || LevelError(text.to_owned());
    // A word that is no level would be taken for the name of a crate.
    let is_level = |word: &str| word.contains('=') || word.trim().parse::<LevelFilter>().is_ok();
    if !text.split(',').all(is_level) {
        return Err(fault());
    }
    let asked: Targets = text.parse().map_err(|_| fault())?;
    let level = asked.default_level().unwrap_or(LevelFilter::INFO);
    let ours = asked
        .iter()
        .filter(|(target, _)| target.starts_with(TARGET));
    let ours = ours.map(|(target, level)| (target.to_owned(), level));
    Ok(Targets::new()
        .with_target(TARGET, level)
        .with_targets(ours.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn check(text: &str, target: &str, level: Level, expected: bool) {
        let filter = filter(text).expect("valid");
        assert_eq!(
            filter.would_enable(target, &level),
            expected,
            "{text} {target} {level}"
        );
    }

    #[test]
    fn libraries_are_never_logged() {
        for text in ["trace", "lapin=trace", "lapin=trace,debug", "info"] {
            check(text, "lapin::returned_messages", Level::WARN, false);
            check(text, "tokio_postgres", Level::ERROR, false);
        }
    }

    #[test]
    fn the_level_is_that_of_the_relay() {
        check("trace", "pgevents_relay::ack", Level::TRACE, true);
        check("warn", "pgevents_relay::ack", Level::INFO, false);
        check(
            "warn,pgevents_relay::ack=debug",
            "pgevents_relay::ack",
            Level::DEBUG,
            true,
        );
        check("off", "pgevents_relay", Level::ERROR, false);
        assert!(filter("loud").is_err());
    }
}
