//! What cargo says of the workspace.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::steps::capture;

/// The workspace as its manifests describe it, inheritance and renames resolved by cargo.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where builds go, whatever environment or configuration decided it.
    pub(crate) target: PathBuf,
    pub(crate) crates: Vec<Crate>,
}

/// One member of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Direct dependencies of every kind and target, by package name.
    pub(crate) dependencies: Vec<String>,
    pub(crate) benches: Vec<String>,
}

impl Workspace {
    /// Asks cargo; works from any folder inside the workspace.
    pub(crate) fn load() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let text = capture(Command::new(cargo).args(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&text).context("reading the output of cargo metadata")?;
        Self::from_metadata(&metadata)
            .context("the output of cargo metadata lacks a field that this program reads")
    }

    fn from_metadata(metadata: &Value) -> Option<Self> {
        Some(Self {
            root: PathBuf::from(metadata["workspace_root"].as_str()?),
            target: PathBuf::from(metadata["target_directory"].as_str()?),
            crates: metadata["packages"]
                .as_array()?
                .iter()
                .map(Crate::from_metadata)
                .collect::<Option<Vec<_>>>()?,
        })
    }
}

impl Crate {
    fn from_metadata(package: &Value) -> Option<Self> {
        let is_bench = |target: &&Value| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "bench"))
        };
        let names = |values: Vec<&Value>| {
            values
                .into_iter()
                .map(|value| value["name"].as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        };
        Some(Self {
            name: package["name"].as_str()?.to_owned(),
            folder: PathBuf::from(package["manifest_path"].as_str()?).parent()?.to_owned(),
            dependencies: names(package["dependencies"].as_array()?.iter().collect())?,
            benches: names(package["targets"].as_array()?.iter().filter(is_bench).collect())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_read() {
        let workspace = Workspace::load().unwrap();
        let random = workspace.crates.iter().find(|krate| krate.name == "tickstorm-random").unwrap();
        assert!(random.folder.starts_with(&workspace.root));
        assert!(random.folder.ends_with("crates/tickstorm-random"));
        assert!(random.dependencies.iter().any(|name| name == "libm"));
    }
}
