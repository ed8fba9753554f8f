//! Which mutant is switched on. `scripts/mutants` adds this file to the copy that it compiles.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

/// More than there are mutants.
const MOST: usize = 65_536;

static ON: LazyLock<u32> = LazyLock::new(|| {
    let number = std::env::var("VESTIBULE_MUTANT");
    number.map_or(0, |number| number.parse().expect("a number"))
});

static RECORD: LazyLock<Option<Record>> = LazyLock::new(|| {
    let path = std::env::var_os("VESTIBULE_MUTANTS_SEEN")?;
    let file = OpenOptions::new().append(true).create(true).open(path);
    Some(Record {
        seen: (0..MOST).map(|_| AtomicBool::new(false)).collect(),
        file: Mutex::new(file.expect("the record opens")),
    })
});

/// The mutants that this process has reached, in memory and in a file.
struct Record {
    seen: Vec<AtomicBool>,
    file: Mutex<File>,
}

/// Whether this mutant is switched on, by `VESTIBULE_MUTANT`. Records that it is reached if
/// `VESTIBULE_MUTANTS_SEEN` names a file.
#[must_use]
pub fn on(number: u32) -> bool {
    if let Some(record) = &*RECORD {
        record.see(number);
    }
    *ON == number
}

impl Record {
    fn see(&self, number: u32) {
        if !self.seen[number as usize].swap(true, Ordering::Relaxed) {
            let mut file = self.file.lock().expect("no panic");
            file.write_all(format!("{number}\n").as_bytes()).expect("the record is written");
        }
    }
}
