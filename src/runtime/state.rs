//! What must survive a restart: the keys made on first start, in `state_dir`, for nobody else to
//! read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::system;

/// The key that signs assertions (PKCS #8), made on first start.
///
/// # Errors
/// When `state_dir` cannot be used.
pub fn assertion_key(state_dir: &Path) -> io::Result<Vec<u8>> {
    let text = kept(state_dir, "assertion.key", || {
        Ok(STANDARD.encode(new_assertion_key()?).into_bytes())
    })?;
    STANDARD.decode(text.trim_ascii()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "assertion.key is not a key in base64",
        )
    })
}

/// A key to sign assertions with (PKCS #8), kept nowhere.
///
/// # Errors
/// When none can be made.
pub fn new_assertion_key() -> io::Result<Vec<u8>> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    Ok(key
        .map_err(|_| io::Error::other("no key could be made"))?
        .as_ref()
        .to_vec())
}

/// The content of a file in `state_dir`, made by `make` when it is not there. Written beside and
/// linked into place, so that two that start at once agree on one.
pub(super) fn kept(
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
    let draft = draft(state_dir, name, &make()?)?;
    let linked = std::fs::hard_link(&draft, &path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => std::fs::read(&path),
    }
}

/// Puts `content` in the place of a file in `state_dir`: who reads it meanwhile gets the old or the
/// new, whole.
pub(super) fn replace(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    std::fs::rename(draft(state_dir, name, content)?, state_dir.join(name))
}

/// Writes `content` beside its place, for nobody else to read.
fn draft(state_dir: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    let draft = state_dir.join(format!(".{name}.{}", system::fresh_name()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let first = assertion_key(&state).unwrap();
        assert_eq!(assertion_key(&state).unwrap(), first);
        let mode = std::fs::metadata(state.join("assertion.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
