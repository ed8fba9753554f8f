//! The outbox: a pickup directory, where each message is a file until whoever really sends it takes
//! it away.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::ids;
use crate::model::timestamp::Timestamp;

/// A message to a person. `Debug` keeps it to itself: it holds a code.
pub struct Message<'a> {
    /// An e-mail address or a telephone number, on one line.
    pub to: &'a str,
    /// On one line.
    pub subject: &'a str,
    /// The text.
    pub body: String,
}

impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Message({})", self.subject)
    }
}

/// A pickup directory.
#[derive(Debug)]
pub struct Outbox {
    directory: PathBuf,
    /// Orders the messages of one moment.
    sequence: AtomicU64,
}

impl Outbox {
    /// The outbox at `directory`, which need not be there yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            sequence: AtomicU64::new(0),
        }
    }

    /// Puts `message` there as one file, which appears whole. Names sort by time, and end in
    /// `.txt`. The directory is made, for its owner alone, where there is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, message: &Message<'_>, now: Timestamp) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:015}-{sequence:06}-{}", now.millis(), ids::random_uuid());
        // Who looks for `*.txt` does not see it yet.
        let unfinished = self.directory.join(format!(".{name}.unfinished"));
        let written = Self::write(&unfinished, message);
        let placed = written
            .and_then(|()| fs::rename(&unfinished, self.directory.join(format!("{name}.txt"))));
        if placed.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        placed
    }

    fn write(path: &Path, message: &Message<'_>) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        write!(
            file,
            "To: {}\nSubject: {}\n\n{}\n",
            message.to, message.subject, message.body
        )?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn messages_lie_in_order_whole_and_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("out/box");
        let outbox = Outbox::new(&place);
        let moments = [5, 5, 1_800_000_000];
        for (number, moment) in moments.into_iter().enumerate() {
            let message = Message {
                to: "a@example.com",
                subject: "Hello",
                body: format!("number {number}"),
            };
            assert!(!format!("{message:?}").contains("number"));
            outbox.put(&message, Timestamp::from_secs(moment)).unwrap();
        }
        let mut files: Vec<PathBuf> = fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), moments.len());
        for (number, file) in files.iter().enumerate() {
            assert_eq!(
                fs::read_to_string(file).unwrap(),
                format!("To: a@example.com\nSubject: Hello\n\nnumber {number}\n")
            );
            assert_eq!(
                fs::metadata(file).unwrap().permissions().mode() & 0o777,
                0o600
            );
            assert_eq!(file.extension().unwrap(), "txt");
        }
        assert_eq!(
            fs::metadata(&place).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, "in the way").unwrap();
        let message = Message {
            to: "a@example.com",
            subject: "Hello",
            body: String::new(),
        };
        assert!(outbox.put(&message, Timestamp::from_secs(1)).is_err());
    }
}
