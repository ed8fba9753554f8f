//! The Unix socket in `state_dir` over which a process hands its listening sockets to the next one.
//! Only the user that the gateway runs as, and root, can use it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::system;

/// The name of the socket in `state_dir`.
pub(super) const FILE: &str = "upgrade.sock";

/// The socket of this process. Dropped, it removes its file, unless that is another process's by
/// then.
pub(super) struct UpgradeSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl UpgradeSocket {
    /// Opens the socket, in place of that of an earlier process.
    ///
    /// # Errors
    /// Where `state_dir` cannot be written, or its path is too long for a socket.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let temp = state_dir.join(format!(".{}", system::unique_id()));
        let opened = StdUnixListener::bind(&temp).and_then(|listener| {
            std::fs::set_permissions(&temp, Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            let inode = std::fs::metadata(&temp)?.ino();
            std::fs::rename(&temp, &path)?;
            let listener = UnixListener::from_std(listener)?;
            Ok(Self {
                listener,
                path,
                inode,
            })
        });
        if opened.is_err() {
            // The first error counts.
            let _ = std::fs::remove_file(&temp);
        }
        opened
    }

    /// The next process that asks for the listening sockets and may have them. It can be cancelled.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let user = stream.peer_cred()?.uid();
            if user == 0 || user == rustix::process::geteuid().as_raw() {
                return Ok(stream);
            }
            tracing::warn!(
                user,
                "another user asked for the listening sockets: refused"
            );
        }
    }
}

impl Drop for UpgradeSocket {
    fn drop(&mut self) {
        let inode = std::fs::metadata(&self.path).map(|metadata| metadata.ino());
        if inode.is_ok_and(|inode| inode == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_process_has_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let first = UpgradeSocket::open(folder.path()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = UpgradeSocket::open(folder.path()).unwrap();
        // The first one leaves the second one's file alone.
        drop(first);
        let asked = tokio::join!(UnixStream::connect(&path), second.accept());
        assert!(asked.0.is_ok() && asked.1.is_ok());
        drop(second);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
