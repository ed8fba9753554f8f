//! Files in `state_dir`: keys that are created on the first start and survive restarts. Only the user
//! that the gateway runs as can read them.

use std::fs::{DirBuilder, OpenOptions};
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
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    let temp = write_temp(state_dir, name, &make()?)?;
    let linked = std::fs::hard_link(&temp, &path);
    std::fs::remove_file(&temp)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => std::fs::read(&path),
    }
}

/// Replaces a file in `state_dir` atomically: whoever reads it meanwhile gets the old or the new
/// content, never a part of one.
///
/// # Errors
/// When `state_dir` cannot be written.
pub(super) fn replace(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temp = write_temp(state_dir, name, content)?;
    std::fs::rename(temp, state_dir.join(name))
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
    file.write_all(content)?;
    file.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
