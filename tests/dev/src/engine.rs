//! A container engine, and the images of the stack.

use std::io;
use std::process::Command;

/// Why there is no stack to test, or why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No client program; tests that need one are skipped.
    #[error("no `docker` in PATH")]
    NoClient,
    /// A client without a running engine; tests that need one are skipped.
    #[error("no container engine answers")]
    NoEngine,
    /// Neither Compose v2 nor docker-compose; tests that need one are skipped.
    #[error("neither `docker compose` nor `docker-compose` is installed")]
    NoCompose,
    /// The client did not start.
    #[error("run {command}")]
    Start {
        /// The client's arguments.
        command: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The client ran and failed; the test fails.
    #[error("run {command}: {stderr}")]
    Refused {
        /// The client's arguments.
        command: String,
        /// What it printed.
        stderr: String,
    },
}

/// A running container engine and the program that starts stacks on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    compose: &'static [&'static str],
}

impl Engine {
    /// The engine that `docker` reaches, with Compose v2 or else docker-compose.
    ///
    /// # Errors
    ///
    /// The piece that is missing.
    pub fn find() -> Result<Self, EngineError> {
        let works = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).output();
            output.map(|output| output.status.success())
        };
        match works(&["docker", "info"]) {
            Ok(true) => {}
            Ok(false) => return Err(EngineError::NoEngine),
            Err(_) => return Err(EngineError::NoClient),
        }
        let programs: [&'static [&'static str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        let found = programs.into_iter().find(|program| {
            let version = [*program, &["version"]].concat();
            works(&version).is_ok_and(|works| works)
        });
        found
            .map(|compose| Self { compose })
            .ok_or(EngineError::NoCompose)
    }

    /// A call of the client.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(arguments);
        command
    }

    /// A call of Compose.
    pub fn compose(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.compose[0]);
        command.args(&self.compose[1..]).args(arguments);
        command
    }

    /// Runs a call of the client to its end and gives its standard output without the last newline.
    ///
    /// # Errors
    ///
    /// [`EngineError::Start`] or [`EngineError::Refused`].
    pub fn ask(&self, arguments: &[&str]) -> Result<String, EngineError> {
        run(&mut self.docker(arguments))
    }
}

/// Runs a command to its end and gives its standard output without the last newline.
///
/// # Errors
///
/// [`EngineError::Start`] or [`EngineError::Refused`].
pub fn run(command: &mut Command) -> Result<String, EngineError> {
    let words = command.get_args().map(|word| word.to_string_lossy());
    let words: Vec<String> = std::iter::once(command.get_program().to_string_lossy())
        .chain(words)
        .map(Into::into)
        .collect();
    let name = words.join(" ");
    let output = match command.output() {
        Ok(output) => output,
        Err(source) => {
            return Err(EngineError::Start {
                command: name,
                source,
            });
        }
    };
    if !output.status.success() {
        return Err(EngineError::Refused {
            command: name,
            stderr: String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// What the stack of the tests has in its environment: images with names of their own, so that a
/// user's stay as they are, and in a profile that builds in less time. What is tested is the way of
/// the images, not their speed.
pub const IMAGES: [(&str, &str); 2] = [
    ("PGEVENTS_IMAGE_PREFIX", "pgevents-test/"),
    ("PGEVENTS_PROFILE", "quick"),
];

/// The image of the relay under [`IMAGES`].
pub const RELAY_IMAGE: &str = "pgevents-test/pgevents";
