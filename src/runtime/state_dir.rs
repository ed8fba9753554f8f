//! Files in `state_dir`: keys that are created on the first start, and what else survives restarts.
//! Only the user that the gateway runs as can read them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::system;

/// The content of a file in `state_dir`, which is created with the content of `make` where it does
/// not exist. It is written to a temporary file and linked into place, so that two processes that
/// start at the same time agree on one content.
///
/// # Errors
/// When `state_dir` cannot be created, read or written.
pub(super) fn read_or_create(
    state_dir: &Path,
    name: &str,
    make: impl FnOnce() -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let path = state_dir.join(name);
    match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    create(state_dir)?;
    let temp = write_temp(state_dir, name, &make()?)?;
    let linked = std::fs::hard_link(&temp, &path);
    std::fs::remove_file(&temp)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => std::fs::read(&path),
    }
}

/// Replaces a file in `state_dir` atomically: whoever reads it meanwhile, or after a crash, gets the
/// old or the new content, never a part of one.
///
/// # Errors
/// When `state_dir` cannot be written.
pub(super) fn replace(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    create(state_dir)?;
    let temp = write_temp(state_dir, name, content)?;
    let renamed = std::fs::rename(&temp, state_dir.join(name));
    if renamed.is_err() {
        // The error of the rename counts.
        let _ = std::fs::remove_file(&temp);
    }
    renamed?;
    // The rename itself survives a crash only once the directory is on the disk.
    File::open(state_dir)?.sync_all()
}

fn create(state_dir: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
}

/// Writes `content` to a temporary file that only its owner can read.
fn write_temp(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    let path = state_dir.join(format!(".{name}.{}", system::unique_id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // A full disk must not fill up with what could not be written.
        let _ = std::fs::remove_file(&path);
    }
    written.map(|()| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_replaced_file_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        for content in ["first", "second"] {
            replace(&state, "some.file", content.as_bytes()).unwrap();
            let read = std::fs::read(state.join("some.file")).unwrap();
            assert_eq!(read, content.as_bytes());
        }
        std::fs::create_dir(state.join("taken")).unwrap();
        assert!(replace(&state, "taken", b"not over a directory").is_err());
        let mut names: Vec<_> = std::fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["some.file", "taken"]);
    }

    #[test]
    fn a_file_is_created_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let read = |content: &str| read_or_create(&state, "some.key", || Ok(content.into()));
        assert_eq!(read("first").unwrap(), b"first");
        assert_eq!(read("second").unwrap(), b"first");
        let mode = std::fs::metadata(state.join("some.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
