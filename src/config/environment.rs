//! Environment variables and files, as the configuration reads them.
//!
//! This is the one file that reads the process environment, so that a test or a rehearsal
//! (`explain`, `check`) can replace all of it by [`FakeEnvironment`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::model::timestamp::Timestamp;

/// The largest file, in bytes. A device such as `/dev/zero` has no end.
const MAX_FILE: usize = 4 << 20;

/// Where variables and files come from.
pub trait Environment {
    /// The value of an environment variable; `None` when it is not set or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// Whatever keeps it from being read as UTF-8.
    fn file(&self, path: &Path) -> io::Result<String>;

    /// At most so many bytes of a file, from its beginning.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>>;

    /// The names in a folder, in order. What is not UTF-8 is left out.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// When a file was written last; `None` where nobody knows.
    fn written_at(&self, path: &Path) -> Option<Timestamp>;

    /// The permission bits of a file, such as `0o640`; `None` where nobody knows.
    fn mode(&self, path: &Path) -> Option<u32>;

    /// Whether there is something at this path, or above it, that is no folder.
    fn is_blocked(&self, folder: &Path) -> bool;
}

/// The machine this program runs on.
#[derive(Clone, Copy, Debug)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads variables"
    )]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let bytes = self.bytes(path, MAX_FILE + 1)?;
        if bytes.len() > MAX_FILE {
            return Err(io::Error::other("it is larger than 4 MiB"));
        }
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
    }

    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        std::fs::File::open(path)?
            .take(most)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(folder)?
            .filter_map(|entry| {
                entry
                    .map(|entry| entry.file_name().into_string().ok())
                    .transpose()
            })
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn written_at(&self, path: &Path) -> Option<Timestamp> {
        let since = std::fs::metadata(path)
            .ok()?
            .modified()
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        Some(Timestamp::from_secs(since.as_secs()))
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        Some(mode & 0o7777)
    }

    fn is_blocked(&self, folder: &Path) -> bool {
        let opened = std::fs::read_dir(folder);
        opened.is_err_and(|error| error.kind() == io::ErrorKind::NotADirectory)
    }
}

/// Another environment, and which of its files and folders were asked for. A reload watches them.
pub(super) struct RecordingEnvironment<'a> {
    environment: &'a dyn Environment,
    asked: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> RecordingEnvironment<'a> {
    pub(super) fn new(environment: &'a dyn Environment) -> Self {
        Self {
            environment,
            asked: RefCell::default(),
        }
    }

    /// The files and folders that were asked for, whether or not there are any.
    pub(super) fn into_files(self) -> BTreeSet<PathBuf> {
        self.asked.into_inner()
    }

    fn record(&self, path: &Path) {
        self.asked.borrow_mut().insert(path.to_owned());
    }
}

impl Environment for RecordingEnvironment<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.variable(name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        self.record(path);
        self.environment.file(path)
    }

    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.record(path);
        self.environment.bytes(path, most)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.record(folder);
        self.environment.names(folder)
    }

    fn written_at(&self, path: &Path) -> Option<Timestamp> {
        self.environment.written_at(path)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.environment.mode(path)
    }

    fn is_blocked(&self, folder: &Path) -> bool {
        self.environment.is_blocked(folder)
    }
}

/// Environment for tests and rehearsals: only what was put in.
#[derive(Clone, Default)]
pub struct FakeEnvironment {
    /// By name.
    pub variables: BTreeMap<String, String>,
    /// By path, as the configuration's folder and the written path make it.
    pub files: BTreeMap<PathBuf, String>,
    /// The permission bits of files.
    pub modes: BTreeMap<PathBuf, u32>,
}

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn bytes(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.file(path)
            .map(|text| text.bytes().take(most).collect())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let beneath = |path: &PathBuf| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned());
        let names: Vec<String> = self
            .files
            .keys()
            .filter_map(beneath)
            .filter(|name| !name.contains('/'))
            .collect();
        if names.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(names)
        }
    }

    fn written_at(&self, _: &Path) -> Option<Timestamp> {
        None
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.modes.get(path).copied()
    }

    fn is_blocked(&self, folder: &Path) -> bool {
        folder.ancestors().any(|path| self.files.contains_key(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read_to_its_end() {
        let error = SystemEnvironment.file(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 4 MiB");
    }

    #[test]
    fn a_folder_cannot_be_where_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let is_blocked = |path: &Path| SystemEnvironment.is_blocked(path);
        assert!(is_blocked(&file) && is_blocked(&file.join("below")));
        assert!(!is_blocked(folder.path()) && !is_blocked(&folder.path().join("new")));
    }
}
