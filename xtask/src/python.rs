//! The Python package: built as a wheel, installed into a fresh environment, and tested there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    cargo, peers,
    steps::{Outcome, Place, Tally, capture, run, run_tests, succeeds},
    workspace::Workspace,
};

const PACKAGE: &str = "crates/tickstorm-py";

/// Builds the wheel and holds it against its tests, its types and its stubs.
pub(crate) fn test(workspace: &Workspace, place: Place, tally: &mut Tally) -> Result<Outcome> {
    let python = match interpreter(workspace)? {
        peers::Python::Ready(python) => python,
        peers::Python::Missing(reason) => return place.missing(&reason),
    };
    // Without optimisation: what the tests ask for is not speed, and the libraries are built so already.
    let wheel = wheel(workspace, &python, "dev")?;
    let fresh = environment(workspace, &python, &python, "fresh", &wheel)?;
    // Of the whole workspace, so that it is the one that its tests have built.
    run(cargo().args(["build", "--workspace", "--bin", "tickstorm"]))?;
    let program = workspace.target.join("debug").join(format!("tickstorm{}", std::env::consts::EXE_SUFFIX));
    run_tests(pytest(&fresh).env("PROGRAM_TO_COMPARE_WITH", program), tally)?;
    // Tasks begin otherwise from Python 3.12 on.
    let (_, tested) = version(&python)?;
    if let Some((newest, path)) = found().pop().filter(|(newest, _)| *newest != tested) {
        let folder = format!("newest-3.{newest}");
        let newest = environment(workspace, &python, &path, &folder, &wheel)?;
        run_tests(
            pytest(&newest).args(["tests/test_coroutines.py", "tests/test_plain_callables.py"]),
            tally,
        )?;
    }
    run(Command::new(&fresh).args(["-m", "mypy", "python/tickstorm", "tests"]).current_dir(PACKAGE))?;
    run(Command::new(&fresh).args(["-m", "mypy.stubtest", "tickstorm"]).current_dir(PACKAGE))?;
    Ok(Outcome::Done)
}

fn pytest(python: &Path) -> Command {
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(PACKAGE);
    // The program refuses TICKSTORM_ variables that it does not know.
    pytest.env_remove(peers::PYTHON_VARIABLE);
    pytest
}

/// The package beside a plain asyncio implementation of the same interface, on the oldest and the newest Python here.
pub(crate) fn bench(workspace: &Workspace) -> Result<()> {
    let python = match interpreter(workspace)? {
        peers::Python::Ready(python) => python,
        peers::Python::Missing(reason) => anyhow::bail!("{reason}"),
    };
    let wheel = wheel(workspace, &python, "release")?;
    for (version, path) in ends(found()) {
        let folder = format!("bench-3.{version}");
        let venv = environment(workspace, &python, &path, &folder, &wheel)?;
        run(Command::new(venv).arg("bench/compare.py").current_dir(PACKAGE))?;
    }
    Ok(())
}

/// A Python with maturin.
fn interpreter(workspace: &Workspace) -> Result<peers::Python> {
    let tools = folder(workspace).join("tools");
    let python = in_venv(&tools);
    if succeeds(Command::new(&python).args(["-m", "maturin", "--version"])) {
        return Ok(peers::Python::Ready(python));
    }
    if let Err(reason) = peers::make_venv(&tools) {
        return Ok(peers::Python::Missing(format!("{reason:#}")));
    }
    let (major, minor) = version(&python)?;
    if (major, minor) < (3, 11) {
        return Ok(peers::Python::Missing(format!("python3 is {major}.{minor}, the package needs 3.11")));
    }
    let install = run(Command::new(&python).args(PIP_INSTALL).arg(MATURIN));
    Ok(match install {
        Ok(()) => peers::Python::Ready(python),
        Err(reason) => peers::Python::Missing(format!("{reason:#}")),
    })
}

fn wheel(workspace: &Workspace, python: &Path, profile: &str) -> Result<PathBuf> {
    let wheels = folder(workspace).join(format!("wheels-{profile}"));
    // What an earlier version left would be taken for this one's.
    if wheels.exists() {
        fs::remove_dir_all(&wheels).with_context(|| format!("removing {}", wheels.display()))?;
    }
    let maturin = ["-m", "maturin", "build", "--profile", profile, "--manifest-path", "Cargo.toml"];
    let mut build = Command::new(python);
    build.args(maturin).arg("--interpreter").arg(python).arg("--out").arg(&wheels);
    build.arg("--target-dir").arg(&workspace.target).current_dir(PACKAGE);
    run(&mut build)?;
    let files = fs::read_dir(&wheels).with_context(|| format!("listing {}", wheels.display()))?;
    let files: std::io::Result<Vec<_>> = files.map(|file| Ok(file?.path())).collect();
    let files = files.with_context(|| format!("listing {}", wheels.display()))?;
    ensure!(files.len() == 1, "{} holds {} files instead of one wheel", wheels.display(), files.len());
    Ok(files.into_iter().next().expect("there is one"))
}

/// A new environment of `python` with the wheel and what the tests need in it, filled by the pip of another one.
fn environment(
    workspace: &Workspace,
    tools: &Path,
    python: &Path,
    name: &str,
    wheel: &Path,
) -> Result<PathBuf> {
    let venv = folder(workspace).join(name);
    run(Command::new(python).args(["-m", "venv", "--clear", "--without-pip"]).arg(&venv))?;
    let python = in_venv(&venv);
    let mut install = Command::new(tools);
    install.args(["-m", "pip", "--python"]).arg(&python).args(&PIP_INSTALL[2..]).arg(wheel);
    install.arg("--requirement").arg(Path::new(PACKAGE).join("tests/requirements.txt"));
    run(&mut install)?;
    Ok(python)
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("xtask").join("python")
}

fn in_venv(venv: &Path) -> PathBuf {
    venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

fn version(python: &Path) -> Result<(u32, u32)> {
    let text = capture(Command::new(python).args(["-c", "import sys; print(*sys.version_info[:2])"]))?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => anyhow::bail!("{} says that its version is {text:?}", python.display()),
    }
}

/// Every Python from 3.11 on, by minor version: on the path, or of pyenv.
fn found() -> Vec<(u32, PathBuf)> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    let of_pyenv = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let of_pyenv: Vec<PathBuf> =
        of_pyenv.into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    (11..=NEWEST)
        .filter_map(|minor| {
            let name = format!("python3.{minor}");
            let folders = std::iter::once(PathBuf::new()).chain(of_pyenv.iter().cloned());
            let mut candidates = folders.map(|folder| folder.join(&name));
            let usable = |path: &PathBuf| succeeds(Command::new(path).args(["-c", "import venv"]));
            Some((minor, candidates.find(usable)?))
        })
        .collect()
}

/// The first and the last.
fn ends(found: Vec<(u32, PathBuf)>) -> Vec<(u32, PathBuf)> {
    let last = found.len().saturating_sub(1);
    found.into_iter().enumerate().filter(|(i, _)| *i == 0 || *i == last).map(|(_, it)| it).collect()
}

const PIP_INSTALL: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];

const MATURIN: &str = "maturin>=1.9.4,<2";

/// The newest minor version that is looked for.
const NEWEST: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_and_the_newest_are_compared() {
        let of = |minors: &[u32]| {
            let all = minors.iter().map(|&minor| (minor, PathBuf::new())).collect();
            ends(all).into_iter().map(|(minor, _)| minor).collect::<Vec<_>>()
        };
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[11]), [11]);
        assert_eq!(of(&[11, 12, 14]), [11, 14]);
    }
}
