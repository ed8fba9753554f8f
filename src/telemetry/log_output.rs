//! Where log lines go: standard output, which a stalled reader must not turn into a stall of the
//! gateway.
//!
//! A log collector that stops reading leaves its pipe full, and a write to a full pipe waits. So
//! each write to a pipe, socket or terminal is preceded by the question whether it would wait. The
//! gateway gives a slow reader [`PATIENCE`] once in [`BETWEEN_WAITS`], and otherwise drops the line
//! and counts it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::metric_families;

/// As many bytes as a pipe that is reported as writable takes without a wait: `PIPE_BUF` of Linux.
const CHUNK: usize = 4096;

/// How long a write may wait for the reader.
const PATIENCE: Duration = Duration::from_millis(100);

/// After a wait in vain, no write waits for this long.
const BETWEEN_WAITS: Duration = Duration::from_secs(10);

/// The time since some moment of the past.
pub type Uptime = Box<dyn Fn() -> Duration + Send + Sync>;

/// Writes whole lines to a file descriptor.
pub(super) struct LogOutput {
    state: Mutex<Descriptor>,
    dropped: IntCounter,
}

/// The file descriptor, and what the last write to it came to.
struct Descriptor {
    file: File,
    /// Whether it is a regular file, to which no write waits for a reader.
    is_regular: bool,
    /// Whether a line was cut off: the next one begins with a line feed.
    is_cut: bool,
    /// Asked only when a write would wait.
    uptime: Uptime,
    /// Until then, no write waits.
    no_wait_until: Duration,
}

impl LogOutput {
    /// Standard output.
    ///
    /// # Errors
    /// If this process has no file descriptor left.
    pub(super) fn stdout(uptime: Uptime) -> io::Result<Self> {
        let duplicate = io::stdout().as_fd().try_clone_to_owned()?;
        let dropped = metric_families::log_lines_dropped();
        Self::new(File::from(duplicate), dropped, uptime)
    }

    fn new(file: File, dropped: IntCounter, uptime: Uptime) -> io::Result<Self> {
        let is_regular = file.metadata()?.is_file();
        Ok(Self {
            state: Mutex::new(Descriptor {
                file,
                is_regular,
                is_cut: false,
                uptime,
                no_wait_until: Duration::ZERO,
            }),
            dropped,
        })
    }
}

impl Write for &LogOutput {
    /// Writes one whole line, or drops and counts it. Never fails: nobody could be told.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut descriptor = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if descriptor.write_line(line).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Descriptor {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_cut {
            self.write_all(b"\n")?;
            self.is_cut = false;
        }
        for (number, chunk) in line.chunks(CHUNK).enumerate() {
            self.write_all(chunk)
                .inspect_err(|_| self.is_cut |= number > 0)?;
        }
        Ok(())
    }

    /// Writes at most [`CHUNK`] bytes.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_regular && !self.becomes_writable()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.write_all(bytes)
    }

    /// Whether the next write will not wait; waits for that where it may.
    fn becomes_writable(&mut self) -> io::Result<bool> {
        if is_writable(self.file.as_fd(), Duration::ZERO)? {
            return Ok(true);
        }
        let now = (self.uptime)();
        if now < self.no_wait_until {
            return Ok(false);
        }
        let is_writable = is_writable(self.file.as_fd(), PATIENCE)?;
        if !is_writable {
            self.no_wait_until = now + BETWEEN_WAITS;
        }
        Ok(is_writable)
    }
}

/// Whether a write of [`CHUNK`] bytes does not wait, or does not within `timeout`.
fn is_writable(descriptor: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut asked = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    // A reader that has gone is an error of the write, not a wait.
    Ok(retry_on_intr(|| poll(&mut asked, Some(&timeout)))? > 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};
    use std::os::fd::OwnedFd;

    use super::*;

    /// An output into a pipe that holds 64 KiB, the counter of its lost lines, and its reader.
    fn piped() -> (LogOutput, IntCounter, io::PipeReader) {
        let (reader, writer) = pipe().unwrap();
        let (output, dropped) = output(File::from(OwnedFd::from(writer)));
        (output, dropped, reader)
    }

    fn output(file: File) -> (LogOutput, IntCounter) {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let uptime = Box::new(|| Duration::ZERO);
        let output = LogOutput::new(file, dropped.clone(), uptime).unwrap();
        (output, dropped)
    }

    fn line(letter: u8, length: usize) -> Vec<u8> {
        let mut line = vec![letter; length - 1];
        line.push(b'\n');
        line
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_one_wait() {
        let (output, dropped, mut reader) = piped();
        // With a wait for each, this would take more than a minute.
        let (written, done) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for _ in 0..1000 {
                (&output).write_all(&line(b'a', 1024)).unwrap();
            }
            written.send(()).unwrap();
            output
        });
        done.recv_timeout(BETWEEN_WAITS).expect("the end");
        let output = writer.join().unwrap();
        let lost = dropped.get();
        assert!((900..1000).contains(&lost), "{lost}");

        let mut read = vec![0; 1024 * 16];
        reader.read_exact(&mut read).unwrap();
        (&output).write_all(b"after\n").unwrap();
        assert_eq!(dropped.get(), lost);
        drop(output);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let (complete, ending) = rest.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(ending, "after");
        assert!(complete.lines().all(|line| line.len() == 1023));
    }

    #[test]
    fn a_line_that_was_cut_off_ends_before_the_next() {
        let (output, dropped, mut reader) = piped();
        // The pipe takes a part of the line only.
        (&output).write_all(&line(b'a', 100_000)).unwrap();
        assert_eq!(dropped.get(), 1);
        let mut read = vec![0; 64 * 1024];
        reader.read_exact(&mut read).unwrap();
        (&output).write_all(b"next\n").unwrap();
        drop(output);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "\nnext\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_counted_and_a_file_takes_everything() {
        let (output, dropped, reader) = piped();
        drop(reader);
        (&output).write_all(b"lost\n").unwrap();
        assert_eq!(dropped.get(), 1);

        let mut file = tempfile::tempfile().unwrap();
        let (output, dropped) = self::output(file.try_clone().unwrap());
        let long = line(b'a', 1 << 20);
        (&output).write_all(&long).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut kept = Vec::new();
        file.read_to_end(&mut kept).unwrap();
        assert!(kept == long && dropped.get() == 0);
    }
}
