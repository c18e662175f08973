//! Passwords.

use std::{fmt, fs, io, path::Path, str::FromStr};

/// A password, or a URL that holds one. It can be used, but not printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret as it was read.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// The first line of a file; `None`: it is empty.
///
/// # Errors
///
/// The file cannot be read.
pub fn first_line(path: &Path) -> io::Result<Option<Secret>> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().next().map(Secret::new))
}

/// Whether a value looks like a URL, which may hold a password.
pub fn is_url(value: &str) -> bool {
    value.contains("://") || value.contains('@')
}

/// A value that was not understood, for a message. It is not repeated where it could be, or hold, a
/// secret that belongs elsewhere: a URL, or a long text.
pub fn shown(value: &str) -> String {
    const LONGEST: usize = 200;
    match is_url(value) || value.len() > LONGEST {
        true => "(not shown: it may hold a secret)".to_owned(),
        false => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(
            format!("{:?}", Some(Secret::new("canary"))),
            "Some((secret))"
        );
    }

    #[test]
    fn a_value_is_repeated_only_if_it_is_no_url() {
        assert_eq!(shown("a\nb"), "\"a\\nb\"");
        for value in ["amqp://u:canary@h", "u:canary@h", &"canary".repeat(40)] {
            assert!(!shown(value).contains("canary"), "{value}");
        }
    }
}
