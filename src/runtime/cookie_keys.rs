//! The sealing keys that the gateway generates itself: one a line in a file in `state_dir`, the
//! newest first. The first one seals and all of them open, so that a new key signs nobody out.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::sealing_keys::KEY_BYTES;
use crate::model::timestamp::Timestamp;
use crate::system;

use super::state_dir::{give_to_owner, read_or_create, replace};

/// The file of the keys in `state_dir`.
pub const FILE: &str = "cookie.key";
/// How many keys are kept.
const MAX_KEYS: usize = 8;

/// The keys in `state_dir`.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieKeys {
    /// The first seals; never empty.
    pub keys: Vec<[u8; KEY_BYTES]>,
    /// When the first was generated, where the file says so.
    pub made: Option<Timestamp>,
}

/// Reads the sealing keys. The first is generated where there is none yet.
///
/// # Errors
/// When `state_dir` cannot be used, or the file holds anything else than keys.
pub fn read(state_dir: &Path, now: Timestamp) -> io::Result<CookieKeys> {
    parse(&read_or_create(state_dir, FILE, || {
        Ok(line(now).into_bytes())
    })?)
}

/// Generates a new key, puts it before the others, and returns how many there are.
///
/// # Errors
/// When `state_dir` cannot be used, or the file holds anything else than keys.
pub fn rotate(state_dir: &Path, now: Timestamp) -> io::Result<usize> {
    let is_first = !state_dir.join(FILE).exists();
    let before = read_or_create(state_dir, FILE, || Ok(line(now).into_bytes()))?;
    if is_first {
        return Ok(parse(&before)?.keys.len());
    }
    // Two processes that rotate at the same time must not lose each other's key.
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(state_dir.join(LOCK))?;
    give_to_owner(&lock, state_dir)?;
    lock.lock()?;
    let before = std::fs::read(state_dir.join(FILE)).unwrap_or(before);
    parse(&before)?;
    let mut text = line(now);
    for line in String::from_utf8_lossy(&before)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(MAX_KEYS - 1)
    {
        text.push_str(line);
        text.push('\n');
    }
    replace(state_dir, FILE, text.as_bytes())?;
    Ok(parse(text.as_bytes())?.keys.len())
}

const LOCK: &str = ".cookie.key.lock";

/// A line with a new key and the time at which it was generated, in seconds since the Unix epoch.
fn line(now: Timestamp) -> String {
    format!(
        "{} {}\n",
        STANDARD.encode(system::random::<KEY_BYTES>()),
        now.secs()
    )
}

fn parse(content: &[u8]) -> io::Result<CookieKeys> {
    let no_key = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "cookie.key holds something else than keys, one a line",
        )
    };
    let text = std::str::from_utf8(content).map_err(|_| no_key())?;
    let mut keys = Vec::new();
    let mut made = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, since) = line.split_once(' ').unwrap_or((line, ""));
        let key = STANDARD
            .decode(key)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(no_key)?;
        if keys.is_empty() {
            made = since.trim().parse().ok().map(Timestamp::from_secs);
        }
        keys.push(key);
    }
    if keys.is_empty() {
        Err(no_key())
    } else {
        Ok(CookieKeys { keys, made })
    }
}

impl std::fmt::Debug for CookieKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "CookieKeys({})", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const LATER: Timestamp = Timestamp::from_secs(1_700_000_060);

    #[test]
    fn the_first_key_is_generated_once_and_a_new_one_precedes_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let first = read(&state, NOW).unwrap();
        assert_eq!((first.keys.len(), first.made), (1, Some(NOW)));
        assert_eq!(read(&state, LATER).unwrap(), first);
        assert_eq!(rotate(&state, LATER).unwrap(), 2);
        let second = read(&state, LATER).unwrap();
        assert_eq!(
            (&second.keys[1..], second.made),
            (&first.keys[..], Some(LATER))
        );
        assert_ne!(second.keys[0], first.keys[0]);
        let mode = std::fs::metadata(state.join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_without_times_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), STANDARD.encode([7; KEY_BYTES])).unwrap();
        assert_eq!(
            read(dir.path(), NOW).unwrap(),
            CookieKeys {
                keys: vec![[7; KEY_BYTES]],
                made: None
            }
        );
        assert_eq!(rotate(dir.path(), NOW).unwrap(), 2);
        assert_eq!(read(dir.path(), NOW).unwrap().keys[1], [7; KEY_BYTES]);
    }

    #[test]
    fn keys_are_bounded_and_none_is_lost_when_many_rotate() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(rotate(dir.path(), NOW).unwrap(), 1, "there was none before");
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| rotate(dir.path(), NOW).unwrap());
            }
        });
        assert_eq!(read(dir.path(), NOW).unwrap().keys.len(), 6);
        for _ in 0..5 {
            rotate(dir.path(), NOW).unwrap();
        }
        assert_eq!(read(dir.path(), NOW).unwrap().keys.len(), MAX_KEYS);
    }

    #[test]
    fn a_file_without_keys_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "hello").unwrap();
        assert_eq!(
            read(dir.path(), NOW).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            rotate(dir.path(), NOW).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join(FILE)).unwrap(),
            "hello"
        );
    }
}
