//! Where results are written: standard output, or a file that appears whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// A place for a result, found writable before the run so that an hour's measurement is not lost to a misspelt path.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout,
    /// A temporary file beside the place, renamed over it at the end: whoever looks at the place sees the old file or
    /// the new one, never half of it, even if we are killed.
    File {
        temporary: NamedTempFile,
        path: PathBuf,
    },
    /// A device or a pipe, which is written to and must not be replaced.
    Special {
        file: File,
        path: PathBuf,
    },
}

impl Output {
    /// Opens `path`; `-` is standard output.
    pub(crate) fn open(path: &Path) -> Result<Self, OutputError> {
        let fail = |source| OutputError::NotWritable { path: path.into(), source };
        if path == Path::new(STANDARD_OUTPUT) {
            return Ok(Self::Stdout);
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(OutputError::Folder { path: path.into() }),
            Ok(metadata) => {
                // Opened also when it will be replaced: a file without write permission is not ours to replace.
                let file = OpenOptions::new().write(true).open(path).map_err(fail)?;
                if metadata.is_file() {
                    // Behind a symbolic link the file is replaced, not the link.
                    Self::beside(&path.canonicalize().map_err(fail)?).map_err(fail)
                } else {
                    Ok(Self::Special { file, path: path.into() })
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::beside(path).map_err(fail),
            Err(error) => Err(fail(error)),
        }
    }

    fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix: OsString = [".".as_ref(), name, ".tickstorm-".as_ref()].into_iter().collect();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // Like any new file, not private as temporary files are.
        #[cfg(unix)]
        builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        Ok(Self::File { temporary: builder.tempfile_in(folder)?, path: path.into() })
    }

    /// Writes the whole result. A reader of our standard output that went away is no error: it has seen enough.
    pub(crate) fn write(mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.push(bytes)?;
        if let Self::File { temporary, path } = &self {
            temporary.as_file().sync_all().map_err(|source| not_written(path, source))?;
        }
        self.finish()
    }

    /// Writes a part of a result that is too long to be held as a whole, at once.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Audience, OutputError> {
        let (written, place) = match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                (stdout.write_all(bytes).and_then(|()| stdout.flush()), None)
            }
            Self::File { temporary, path } => (temporary.write_all(bytes), Some(path)),
            Self::Special { file, path } => (file.write_all(bytes), Some(path)),
        };
        match (written, place) {
            (Ok(()), _) => Ok(Audience::Listening),
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Audience::Gone),
            (Err(source), None) => Err(OutputError::NotWritten { place: "standard output".into(), source }),
            (Err(source), Some(path)) => Err(not_written(path, source)),
        }
    }

    /// Lets the file appear with the parts written so far. Unlike a report they can be made again, so that nobody waits
    /// until they are safe from a loss of power.
    pub(crate) fn finish(self) -> Result<(), OutputError> {
        match self {
            Self::Stdout | Self::Special { .. } => Ok(()),
            Self::File { temporary, path } => match temporary.persist(&path) {
                Ok(_) => Ok(()),
                Err(error) => Err(not_written(&path, error.error)),
            },
        }
    }
}

/// Whether anybody still reads a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Listening,
    Gone,
}

fn not_written(path: &Path, source: io::Error) -> OutputError {
    OutputError::NotWritten { place: format!("`{}`", path.display()), source }
}

const STANDARD_OUTPUT: &str = "-";

/// Why a result cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// Choose a file in it.
    #[error("`{}` is a folder, expected a file", path.display())]
    Folder { path: PathBuf },
    /// Found before the run.
    #[error("cannot write to `{}`: {source}", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    /// The disk became full, or the folder went away.
    #[error("could not write {place}: {source}")]
    NotWritten { place: String, source: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_appears_at_the_end_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let output = Output::open(&path).unwrap();
        assert!(!path.exists());
        let names = names(folder.path());
        assert_eq!(names.len(), 1);
        assert!(names[0].starts_with(".report.json.tickstorm-") && names[0].ends_with(".tmp"), "{names:?}");

        output.write(b"{}\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}\n");
        assert_eq!(super::tests::names(folder.path()), ["report.json"]);
    }

    #[test]
    fn an_old_file_stays_whole_until_the_new_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, "old").unwrap();
        let output = Output::open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(names(folder.path()), ["report.json"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        Output::open(&path).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_folder_or_a_path_through_nothing_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/report.json");
        for (path, expected) in
            [(folder.path(), "is a folder"), (&missing, "No such file"), (Path::new(""), "write to ``")]
        {
            let error = Output::open(path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn parts_make_up_a_file_that_appears_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.jsonl");
        let mut output = Output::open(&path).unwrap();
        for part in [b"{}\n", b"[]\n"] {
            assert_eq!(output.push(part).unwrap(), Audience::Listening);
            assert!(!path.exists());
        }
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}\n[]\n");
        assert_eq!(names(folder.path()), ["stream.jsonl"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        let path = Path::new("/dev/null");
        let output = Output::open(path).unwrap();
        assert!(matches!(output, Output::Special { .. }));
        output.write(b"gone").unwrap();
        assert!(!fs::metadata(path).unwrap().is_file());
        let full = Output::open(Path::new("/dev/full")).unwrap().write(b"x").unwrap_err();
        assert!(full.to_string().contains("`/dev/full`"), "{full}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_goes_on_pointing_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Output::open(&link).unwrap().write(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
