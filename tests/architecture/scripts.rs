//! Scripts that write beside cargo's target directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{assert_none, root};

/// The files that read `CARGO_TARGET_DIR`: they refuse directories of devices.
const READERS: [&str; 2] = ["scripts/target.sh", "tests/real/installed.py"];

fn scripts_in(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts_in(&path, found);
        } else if path
            .extension()
            .is_some_and(|end| end == "py" || end == "sh")
        {
            found.push(path);
        }
    }
}

/// A link or a virtual environment below `/dev` would take the place of a device.
#[test]
fn a_target_directory_among_devices_is_refused() {
    for directory in [
        "/dev",
        "/dev/null",
        "/dev/../dev/shm",
        "/",
        "/proc/self",
        "/sys",
    ] {
        let ran = Command::new("bash")
            .args(["-c", ". scripts/target.sh"])
            .current_dir(root())
            .env("CARGO_TARGET_DIR", directory)
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(2), "{directory}: {ran:?}");
    }
}

#[test]
fn the_target_directory_is_read_where_it_is_checked() {
    let mut scripts = Vec::new();
    for directory in ["scripts", "tests/real"] {
        scripts_in(&root().join(directory), &mut scripts);
    }
    assert!(scripts.len() > 30, "the scripts were not found");
    let readers: BTreeSet<String> = scripts
        .iter()
        .filter(|script| {
            let text = std::fs::read_to_string(script).unwrap();
            text.contains("${CARGO_TARGET_DIR") || text.contains("(\"CARGO_TARGET_DIR")
        })
        .map(|script| script.strip_prefix(root()).unwrap().display().to_string())
        .filter(|name| !READERS.contains(&name.as_str()))
        .collect();
    assert_none("a script that reads CARGO_TARGET_DIR itself", &readers);
}
