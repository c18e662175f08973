use std::{fs, path::PathBuf};

use super::{ConfigError, path};
use crate::secret::Secret;

/// A secret as given, else the first line of the file that the setting `name` names.
pub(super) fn secret(
    value: &Option<Secret>,
    file: &Option<PathBuf>,
    name: &'static str,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(secret) = value.as_ref().filter(|secret| !secret.reveal().is_empty()) {
        return Ok(Some(secret.clone()));
    }
    let Some(path) = path(file) else {
        return Ok(None);
    };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().next().map(Secret::new)),
        Err(source) => Err(ConfigError::File { name, path, source }),
    }
}
