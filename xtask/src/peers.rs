//! The Python that runs the test peers of testdata/peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::steps::{capture, run, succeeds};
use crate::workspace::Workspace;

/// The variable through which tests learn of the Python; where it is unset they skip and say so.
pub(crate) const PYTHON_VARIABLE: &str = "TICKSTORM_TEST_PYTHON";

const REQUIREMENTS: &str = "testdata/peers/requirements.txt";

pub(crate) enum Python {
    Ready(PathBuf),
    Missing(String),
}

/// Finds or makes a Python with the packages that the peers import.
pub(crate) fn python(workspace: &Workspace) -> Result<Python> {
    if let Some(path) = std::env::var_os(PYTHON_VARIABLE).map(PathBuf::from) {
        return Ok(if imports_packages(&path) {
            Python::Ready(path)
        } else {
            Python::Missing(format!(
                "{PYTHON_VARIABLE}={} cannot import the packages of {REQUIREMENTS}",
                path.display()
            ))
        });
    }

    let wanted = fs::read_to_string(REQUIREMENTS).with_context(|| format!("reading {REQUIREMENTS}"))?;
    let venv = workspace.target.join("xtask").join("venv");
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = venv.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|have| have == wanted) && imports_packages(&python) {
        return Ok(Python::Ready(python));
    }

    if let Err(reason) = make_venv(&venv) {
        return Ok(Python::Missing(format!("{reason:#}")));
    }
    let install = run(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
        REQUIREMENTS,
    ]));
    if let Err(reason) = install {
        return Ok(Python::Missing(format!("{reason:#}")));
    }
    // Written last: a venv whose making was cut short is made anew.
    fs::write(&installed, wanted).with_context(|| format!("writing {}", installed.display()))?;
    Ok(Python::Ready(python))
}

fn imports_packages(python: &Path) -> bool {
    succeeds(Command::new(python).args(["-c", "import ccxt.pro, kraken.spot, websockets.asyncio.server"]))
}

/// A new environment with pip in it, in place of whatever is there.
pub(crate) fn make_venv(venv: &Path) -> Result<()> {
    if !can_make_venvs() && can_install_packages() {
        // Debian splits the module that fills a new environment with pip off from Python itself.
        run(Command::new("apt-get").arg("update"))?;
        run(Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", "python3", "python3-venv"])
            .env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    anyhow::ensure!(
        can_make_venvs(),
        "python3 with its modules venv and ensurepip is not installed (Debian: apt-get install python3-venv)"
    );
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))
}

fn can_make_venvs() -> bool {
    succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}

fn can_install_packages() -> bool {
    Path::new("/etc/debian_version").exists()
        && succeeds(Command::new("apt-get").arg("--version"))
        && capture(Command::new("id").arg("-u")).is_ok_and(|user| user.trim() == "0")
}
