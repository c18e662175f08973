//! Another build of this project, measured beside this one in the same run: did it get slower?

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pgevents_tests::dist;

/// Names the folder with that build, as `cargo dev dist` fills it.
const VARIABLE: &str = "PGEVENTS_BEFORE";

/// Its plugin goes by this name, since the server has one library of a name.
pub const PLUGIN: &str = "pgevents_before";

/// The folder with the other build; `None`: there is none.
pub fn folder() -> Option<PathBuf> {
    env::var_os(VARIABLE).map(PathBuf::from)
}

/// The relay of the other build.
///
/// # Errors
///
/// There is no other build, or it has none.
pub fn relay() -> anyhow::Result<PathBuf> {
    let folder = folder().with_context(|| format!("{VARIABLE} is not set"))?;
    Ok(dist::built(folder.join("pgevents"))?)
}

/// Puts the plugin of the other build into `folder`, if there is one.
///
/// # Errors
///
/// It has none, or it cannot be copied.
pub fn install_plugin(folder: &Path, major: u32) -> anyhow::Result<()> {
    let Some(other) = self::folder() else {
        return Ok(());
    };
    let plugin = dist::built(other.join(format!("pg{major}/pgevents.so")))?;
    let to = folder.join(format!("{PLUGIN}.so"));
    fs::copy(&plugin, &to).with_context(|| format!("write {}", to.display()))?;
    Ok(())
}
