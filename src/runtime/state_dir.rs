//! Files in `state_dir`: keys that are created on the first start, and what else survives restarts.
//! Only the user that the gateway runs as can read them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
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
    let (temp, _) = write_temp(state_dir, name, &make()?)?;
    let linked = std::fs::hard_link(&temp, &path);
    std::fs::remove_file(&temp)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => std::fs::read(&path),
    }
}

/// Replaces a file in `state_dir`, or in another folder, atomically: whoever reads it meanwhile, or
/// after a crash, gets the old or the new content, never a part of one. The new file has the owner
/// and the mode of the old one, if there is one, so that `keys rotate`, run by root, leaves a key
/// that the gateway can read.
///
/// # Errors
/// When `state_dir` cannot be written, or the owner of the file cannot be kept.
pub fn replace(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    create(state_dir)?;
    let path = state_dir.join(name);
    let (temp, file) = write_temp(state_dir, name, content)?;
    let replaced = keep_owner_and_mode(&file, &path).and_then(|()| std::fs::rename(&temp, &path));
    if replaced.is_err() {
        // The first error counts.
        let _ = std::fs::remove_file(&temp);
    }
    replaced?;
    // The rename itself survives a crash only once the directory is on the disk.
    File::open(state_dir)?.sync_all()
}

fn create(state_dir: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
}

fn keep_owner_and_mode(file: &File, replaced: &Path) -> io::Result<()> {
    let old = match std::fs::metadata(replaced) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        old => old?,
    };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

/// Gives a file that root has just created in `state_dir` to the owner of `state_dir`, which is the
/// user that the gateway runs as. Anybody else can give nothing away, and keeps the file.
///
/// # Errors
/// When the owners cannot be read, or the file cannot be given away.
pub(super) fn give_to_owner(file: &File, state_dir: &Path) -> io::Result<()> {
    let (dir, new) = (std::fs::metadata(state_dir)?, file.metadata()?);
    if dir.uid() == new.uid() {
        return Ok(());
    }
    match fchown(file, Some(dir.uid()), Some(dir.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes `content` to a temporary file that only its owner can read: the owner of `state_dir`.
fn write_temp(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<(PathBuf, File)> {
    let path = state_dir.join(format!(".{name}.{}", system::unique_id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    let written = give_to_owner(&file, state_dir)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // A full disk must not fill up with what could not be written.
        let _ = std::fs::remove_file(&path);
    }
    written.map(|()| (path, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::chown;

    /// The user id of a service.
    const SERVICE: u32 = 61_184;

    fn owner_and_mode(path: &Path) -> (u32, u32, u32) {
        let metadata = std::fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.key");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        replace(dir.path(), "some.key", b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(owner_and_mode(&path).2, 0o640);
    }

    #[test]
    fn what_root_writes_belongs_to_the_service() {
        let dir = tempfile::tempdir().unwrap();
        if chown(dir.path(), Some(SERVICE), Some(SERVICE)).is_err() {
            // Only root can give files away, and only root needs to.
            return;
        }
        let (kept, made) = (dir.path().join("kept.key"), dir.path().join("made.key"));
        std::fs::write(&kept, "old").unwrap();
        chown(&kept, Some(SERVICE), Some(SERVICE + 1)).unwrap();
        std::fs::set_permissions(&kept, Permissions::from_mode(0o400)).unwrap();
        replace(dir.path(), "kept.key", b"new").unwrap();
        assert_eq!(owner_and_mode(&kept), (SERVICE, SERVICE + 1, 0o400));
        read_or_create(dir.path(), "made.key", || Ok(b"first".into())).unwrap();
        assert_eq!(owner_and_mode(&made), (SERVICE, SERVICE, 0o600));
    }

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
