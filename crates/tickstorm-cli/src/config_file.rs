//! The settings that a TOML file gives: flat keys named like the flags.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml_edit::{Document, Item, Value};

use crate::resolve::{Given, Mistakes, Origin, is_flag_only, known, names, nearest};

/// Reads the file; whatever is wrong with it becomes a mistake with its line.
pub(crate) fn read(path: &Path, mistakes: &mut Mistakes) -> Vec<Given> {
    match text(path) {
        Ok(text) => parse(path, &text, mistakes),
        Err(message) => {
            mistakes.add(Origin::File { path: path.into(), line: None }, message);
            Vec::new()
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    let read = |path: &Path| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(path).map_err(|error| format!("cannot read the configuration file: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a configuration file may have up to {MAX_BYTES} bytes, this one has more"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        format!("a configuration file is text in UTF-8, byte {} is not", valid + 1)
    })
}

/// A hundred times the longest sensible file; more is a wrong path.
const MAX_BYTES: u64 = 1 << 20;

fn parse(path: &Path, text: &str, mistakes: &mut Mistakes) -> Vec<Given> {
    let at = |offset: Option<usize>| Origin::File {
        path: path.into(),
        line: offset.map(|offset| line(text, offset)),
    };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            mistakes.add(at(error.span().map(|span| span.start)), message);
            return Vec::new();
        }
    };
    let mut given: Vec<Given> = Vec::new();
    for (key, item) in document.iter() {
        let span = document.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
        let origin = at(span.map(|span| span.start));
        let Some(name) = known(key) else {
            mistakes.add(origin, unknown(key, item));
            continue;
        };
        // TOML itself refuses the same key twice, but not `base-rate` beside `base_rate`.
        if let Some(first) = given.iter().find(|given| given.name == name) {
            mistakes.add(origin, format!("`{key}` is given already in {}", first.origin));
            continue;
        }
        if item.as_array().is_some_and(toml_edit::Array::is_empty) {
            mistakes.add(origin, format!("`{key}` is an empty array, leave it out if there is none"));
            continue;
        }
        match value_text(item) {
            Some(text) => given.push(Given { name, text, origin }),
            None => mistakes
                .add(origin, format!("`{key}` must be text, a number, true or false, got {}", kind(item))),
        }
    }
    given
}

/// The line of a byte, from 1.
fn line(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn unknown(key: &str, item: &Item) -> String {
    if item.is_table() || item.is_array_of_tables() {
        return format!("unknown table `{key}`: settings stand at the top, as base-rate = \"5k\"");
    }
    let word = key.replace('_', "-");
    if is_flag_only(&word) {
        return format!("`{key}` is not read from a file, use the flag --{word}");
    }
    match nearest(&word, names()) {
        Some(name) => format!("unknown setting `{key}`, the nearest is `{name}`"),
        None => format!("unknown setting `{key}`, `tickstorm --help` lists them all"),
    }
}

/// The value as it would be typed behind the flag. An array is what the flag takes with commas.
fn value_text(item: &Item) -> Option<String> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(truth) => Some(truth.value().to_string()),
        _ => None,
    };
    match item.as_value()? {
        Value::Array(values) => {
            values.iter().map(scalar).collect::<Option<Vec<_>>>().map(|all| all.join(","))
        }
        value => scalar(value),
    }
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Value(Value::Datetime(_)) => "a date or time",
        Item::Value(Value::Array(_)) => "an array of something else",
        _ => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Refusal;

    #[test]
    fn values_of_every_kind_become_the_text_of_their_flag() {
        let (given, complaints) = parsed(concat!(
            "# a storm\n",
            "base_rate = \"5k\"\n",
            "symbols = 1_000\n",
            "error-threshold = 0.05\n",
            "allow-public-target = true\n",
            "threshold = [\"p99<50ms\",\n  \"max<1s\"]\n",
            "target = 'ws://127.0.0.1:9000'\n",
        ));
        assert!(complaints.is_empty(), "{complaints:?}");
        let seen: Vec<_> =
            given.iter().map(|given| (given.name, given.text.as_str(), given.origin.to_string())).collect();
        assert_eq!(
            seen,
            [
                ("base-rate", "5k", "storm.toml:2".into()),
                ("symbols", "1000", "storm.toml:3".into()),
                ("error-threshold", "0.05", "storm.toml:4".into()),
                ("allow-public-target", "true", "storm.toml:5".into()),
                ("threshold", "p99<50ms,max<1s", "storm.toml:6".into()),
                ("target", "ws://127.0.0.1:9000", "storm.toml:8".into()),
            ]
        );
    }

    #[test]
    fn each_mistake_has_its_line() {
        let (given, complaints) = parsed(concat!(
            "symbls = 1\n",
            "seed = 2026-01-01\n",
            "base-rate = 1\n",
            "base_rate = 2\n",
            "zzz = 1\n",
            "duration = { s = 1 }\n",
            "threshold = [[1]]\n",
            "output = \"x\"\n",
            "no_tui = true\n",
            "config = \"x\"\n",
            "stages = []\n",
            "[load]\nmultiplier = 3\n",
        ));
        assert_eq!(given.len(), 1);
        assert_eq!(
            complaints,
            [
                "storm.toml:1: unknown setting `symbls`, the nearest is `symbols`",
                "storm.toml:2: `seed` must be text, a number, true or false, got a date or time",
                "storm.toml:4: `base_rate` is given already in storm.toml:3",
                "storm.toml:5: unknown setting `zzz`, `tickstorm --help` lists them all",
                "storm.toml:6: `duration` must be text, a number, true or false, got a table",
                "storm.toml:7: `threshold` must be text, a number, true or false, got an array of something else",
                "storm.toml:8: `output` is not read from a file, use the flag --output",
                "storm.toml:9: `no_tui` is not read from a file, use the flag --no-tui",
                "storm.toml:10: `config` is not read from a file, use the flag --config",
                "storm.toml:11: `stages` is an empty array, leave it out if there is none",
                "storm.toml:12: unknown table `load`: settings stand at the top, as base-rate = \"5k\"",
            ]
        );
    }

    #[test]
    fn broken_toml_is_named_by_line() {
        let (given, complaints) = parsed("seed = 1\nbase-rate 5\n");
        assert!(given.is_empty());
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("storm.toml:2: "), "{complaints:?}");
    }

    #[test]
    fn a_file_that_is_missing_a_folder_too_long_or_binary_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long.toml");
        std::fs::write(&long, "#".repeat(MAX_BYTES as usize + 1)).unwrap();
        let binary = folder.path().join("binary.toml");
        std::fs::write(&binary, b"seed = \xff").unwrap();
        for (path, expected) in [
            (folder.path().join("none.toml"), "No such file"),
            (folder.path().to_path_buf(), "cannot read"),
            (long, "up to 1048576 bytes"),
            (binary, "byte 8 is not"),
        ] {
            let mut mistakes = Mistakes::default();
            assert!(read(&path, &mut mistakes).is_empty());
            let text = Refusal::from(mistakes).to_string();
            assert!(text.contains(expected) && text.contains(&path.display().to_string()), "{text}");
        }
    }

    fn parsed(text: &str) -> (Vec<Given>, Vec<String>) {
        let mut mistakes = Mistakes::default();
        let given = parse(Path::new("storm.toml"), text, &mut mistakes);
        (given, Refusal::from(mistakes).complaints)
    }
}
