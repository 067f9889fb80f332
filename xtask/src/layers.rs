//! Who may import whom: the arrows of ARCHITECTURE.md, checked.
//!
//! Three rules. Our crates import only what stands below them. The pure crates reach no runtime, socket, clock or
//! ambient randomness, neither through a dependency nor in their own source. Only one file opens OS sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::capture;
use crate::workspace::{Crate, Workspace};

/// Each crate of ours with all that it may import of ours, bottom first. A new edge is a design change: make it
/// here and in ARCHITECTURE.md together.
const LAYERS: &[(&str, &[&str])] = &[
    ("tickstorm-random", &[]),
    ("tickstorm-load", &["tickstorm-random"]),
    ("tickstorm-market", &["tickstorm-random"]),
    ("tickstorm-venue", &["tickstorm-random", "tickstorm-market"]),
    ("tickstorm-net", &["tickstorm-random", "tickstorm-load", "tickstorm-market", "tickstorm-venue"]),
    ("tickstorm-report", &["tickstorm-load"]),
    (
        "tickstorm",
        &[
            "tickstorm-random",
            "tickstorm-load",
            "tickstorm-market",
            "tickstorm-venue",
            "tickstorm-net",
            "tickstorm-report",
        ],
    ),
    ("tickstorm-cli", &["tickstorm-load", "tickstorm-report", "tickstorm"]),
    (
        "tickstorm-py",
        &[
            "tickstorm-load",
            "tickstorm-market",
            "tickstorm-venue",
            "tickstorm-report",
            "tickstorm",
            "tickstorm-cli",
        ],
    ),
    (
        "tickstorm-fuzz",
        &["tickstorm-random", "tickstorm-market", "tickstorm-venue", "tickstorm-net", "tickstorm"],
    ),
    ("xtask", &[]),
];

const PURE: &[&str] = &["tickstorm-random", "tickstorm-load", "tickstorm-market", "tickstorm-venue"];

/// What a pure crate may not reach, at any depth.
const IMPURE_PACKAGES: &[(&str, &str)] = &[
    ("async-std", "a runtime"),
    ("chrono", "a clock"),
    ("getrandom", "ambient randomness"),
    ("mio", "sockets"),
    ("polling", "sockets"),
    ("rustix", "the operating system"),
    ("smol", "a runtime"),
    ("socket2", "sockets"),
    ("tokio", "a runtime"),
    ("tungstenite", "sockets"),
];

/// What the source of a pure crate may not say, tests apart.
const IMPURE_SOURCE: &[(&str, &str)] = &[
    ("Instant::now", "reads a clock"),
    ("SystemTime::now", "reads a clock"),
    ("UNIX_EPOCH.elapsed", "reads a clock"),
    ("std::env::", "reads its surroundings"),
    ("std::fs", "reads files"),
    ("std::net", "opens sockets"),
    ("std::process", "starts processes"),
    ("std::thread", "starts threads"),
];

const SOCKET_FILE: &str = "crates/tickstorm-net/src/socket.rs";

const SOCKET_SOURCE: &[&str] =
    &["TcpStream::connect", "TcpListener::bind", "UdpSocket::bind", "Socket::new("];

/// Checks every rule and reports all that is broken at once.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut faults = imports(&workspace.crates);
    for krate in &workspace.crates {
        if PURE.contains(&krate.name.as_str()) {
            faults.extend(impure_packages(&krate.name, &reached(&krate.name)?));
        }
        for path in sources(&krate.folder.join("src"))? {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let shown = path.strip_prefix(&workspace.root).unwrap_or(&path);
            faults.extend(source(&krate.name, shown, &text));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("the layers are broken:\n  {}", faults.join("\n  "))
}

fn imports(crates: &[Crate]) -> Vec<String> {
    let mut faults = Vec::new();
    for krate in crates {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == krate.name) else {
            faults.push(format!("{} has no place in the layers: give it one in {}", krate.name, file!()));
            continue;
        };
        for dependency in &krate.dependencies {
            let ours = crates.iter().any(|other| other.name == *dependency);
            if ours && *dependency != krate.name && !allowed.contains(&dependency.as_str()) {
                let allowed =
                    if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
                faults.push(format!("{} imports {dependency}, it may import {allowed}", krate.name));
            }
        }
    }
    faults
}

/// The names of all packages that a crate is built with on this machine, tests and build scripts of others apart.
fn reached(name: &str) -> Result<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = capture(Command::new(cargo).args([
        "tree",
        "--quiet",
        "--package",
        name,
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]))?;
    Ok(tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn impure_packages(krate: &str, reached: &[String]) -> Vec<String> {
    IMPURE_PACKAGES
        .iter()
        .filter(|(package, _)| reached.iter().any(|name| name == package))
        .map(|(package, what)| format!("{krate} is pure but reaches {what} through {package}"))
        .collect()
}

fn source(krate: &str, path: &Path, text: &str) -> Vec<String> {
    let pure = PURE.contains(&krate);
    let may_open_sockets = path == Path::new(SOCKET_FILE) || krate == "xtask";
    let mut faults = Vec::new();
    for (number, line) in code(text) {
        let at = format!("{}:{number}", path.display());
        if pure {
            for (words, what) in IMPURE_SOURCE.iter().filter(|(words, _)| line.contains(words)) {
                faults.push(format!("{at}: `{words}` {what}, {krate} is pure"));
            }
        }
        if !may_open_sockets {
            for words in SOCKET_SOURCE.iter().filter(|words| line.contains(**words)) {
                faults.push(format!("{at}: `{words}` opens a socket, only {SOCKET_FILE} may"));
            }
        }
    }
    faults
}

/// The numbered lines of a file without comments, up to its tests, which stand at the foot.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(name: &str, dependencies: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            folder: PathBuf::new(),
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
            benches: Vec::new(),
        }
    }

    #[test]
    fn the_table_itself_points_only_down() {
        for (index, (name, allowed)) in LAYERS.iter().enumerate() {
            let below: Vec<&str> = LAYERS[..index].iter().map(|(name, _)| *name).collect();
            for import in *allowed {
                assert!(below.contains(import), "{name} -> {import}");
            }
        }
    }

    #[test]
    fn an_import_upwards_is_found() {
        let crates = [krate("tickstorm-net", &[]), krate("tickstorm-load", &["tickstorm-net", "libm"])];
        let faults = imports(&crates);
        assert_eq!(faults, ["tickstorm-load imports tickstorm-net, it may import tickstorm-random"]);
    }

    #[test]
    fn an_import_sideways_is_found() {
        let crates = [krate("tickstorm-report", &[]), krate("tickstorm-net", &["tickstorm-report"])];
        assert_eq!(imports(&crates).len(), 1);
    }

    #[test]
    fn imports_that_follow_the_table_pass() {
        let crates = [krate("tickstorm-random", &["libm"]), krate("tickstorm-load", &["tickstorm-random"])];
        assert_eq!(imports(&crates), Vec::<String>::new());
    }

    #[test]
    fn a_crate_outside_the_table_is_found() {
        let faults = imports(&[krate("tickstorm-new", &[])]);
        assert!(faults[0].starts_with("tickstorm-new has no place in the layers"), "{faults:?}");
    }

    #[test]
    fn a_runtime_behind_a_pure_crate_is_found() {
        let reached = ["tickstorm-load".to_owned(), "tokio".to_owned(), "libm".to_owned()];
        let faults = impure_packages("tickstorm-load", &reached);
        assert_eq!(faults, ["tickstorm-load is pure but reaches a runtime through tokio"]);
    }

    #[test]
    fn a_clock_in_the_source_of_a_pure_crate_is_found_with_its_line() {
        let text = "fn now() -> Instant {\n    Instant::now()\n}\n";
        let faults = source("tickstorm-load", Path::new("crates/tickstorm-load/src/a.rs"), text);
        assert_eq!(
            faults,
            ["crates/tickstorm-load/src/a.rs:2: `Instant::now` reads a clock, tickstorm-load is pure"]
        );
        assert_eq!(source("tickstorm", Path::new("crates/tickstorm/src/run.rs"), text), Vec::<String>::new());
    }

    #[test]
    fn comments_and_tests_may_name_a_clock() {
        let text = "// Instant::now is never called\nfn f() {}\n#[cfg(test)]\nmod tests { fn g() { Instant::now(); } }\n";
        assert_eq!(source("tickstorm-load", Path::new("a.rs"), text), Vec::<String>::new());
    }

    #[test]
    fn a_socket_opened_outside_the_socket_file_is_found() {
        let text = "let stream = TcpStream::connect(address)?;\n";
        assert_eq!(source("tickstorm-net", Path::new("crates/tickstorm-net/src/ws.rs"), text).len(), 1);
        assert_eq!(source("tickstorm-net", Path::new(SOCKET_FILE), text), Vec::<String>::new());
    }
}
