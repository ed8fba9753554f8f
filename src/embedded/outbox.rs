//! The outbox: a pickup directory with one file per message. Another program sends the messages and
//! removes the files.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::ids;
use crate::model::timestamp::Timestamp;

/// A message to a user. `Debug` shows only the subject, because the body contains a code.
pub struct Message<'a> {
    /// An e-mail address or a telephone number, without line breaks.
    pub to: &'a str,
    /// The subject, without line breaks.
    pub subject: &'a str,
    /// The text of the message, which may have several lines.
    pub body: String,
}

impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Message({})", self.subject)
    }
}

/// A pickup directory, to which messages are delivered as files.
#[derive(Debug)]
pub struct Outbox {
    directory: PathBuf,
    /// Orders messages that have the same time.
    sequence: AtomicU64,
}

impl Outbox {
    /// The outbox at `directory`, which is created with the first message.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            sequence: AtomicU64::new(0),
        }
    }

    /// Writes `message` to a new file, which appears when it is complete. File names sort by time
    /// and end in `.txt`. Only the owner can read the directory and the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn deliver(&self, message: &Message<'_>, now: Timestamp) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:015}-{sequence:06}-{}", now.millis(), ids::random_uuid());
        // A program that looks for `*.txt` does not see the file until it is renamed.
        let temporary = self.directory.join(format!(".{name}.unfinished"));
        let result = Self::write(&temporary, message)
            .and_then(|()| fs::rename(&temporary, self.directory.join(format!("{name}.txt"))));
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
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
    fn messages_are_private_complete_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out/box");
        let outbox = Outbox::new(&path);
        let times = [5, 5, 1_800_000_000];
        for (number, time) in times.into_iter().enumerate() {
            let message = Message {
                to: "a@example.com",
                subject: "Hello",
                body: format!("number {number}"),
            };
            assert!(!format!("{message:?}").contains("number"));
            outbox
                .deliver(&message, Timestamp::from_secs(time))
                .unwrap();
        }
        let mut files: Vec<PathBuf> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), times.len());
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
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "in the way").unwrap();
        let message = Message {
            to: "a@example.com",
            subject: "Hello",
            body: String::new(),
        };
        assert!(outbox.deliver(&message, Timestamp::from_secs(1)).is_err());
    }
}
