//! Who may read and write the gateway's files.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::finding::{Finding, Topic};
use crate::config::settings::Settings;

pub(super) fn examine(config: &Path, settings: &Settings) -> Vec<Finding> {
    vec![configuration(config), state_dir(&settings.state_dir)]
}

/// The files of secrets that it names are among its warnings.
fn configuration(path: &Path) -> Finding {
    let topic = Topic::new("files", path.display());
    match std::fs::metadata(path).map(|it| mode(&it)) {
        Ok(mode) if mode & 0o022 != 0 => topic.fail(
            format!(
                "others can write it, and send passwords where they want: its mode is {mode:o}"
            ),
            format!("`chmod go-w {}`", path.display()),
        ),
        Ok(_) => topic.ok("only its owner can write it"),
        Err(error) => topic.warn(
            format!("its mode is not known: {error}"),
            "check it yourself",
        ),
    }
}

fn state_dir(path: &Path) -> Finding {
    let topic = Topic::new("files", path.display());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return topic.ok("made at the first start");
        }
        Err(error) => return unreadable(&topic, &error),
    };
    if !metadata.is_dir() {
        return topic.fail("`state_dir` is no folder", "name another one");
    }
    let mode = mode(&metadata);
    if mode & 0o022 != 0 {
        return topic.fail(
            format!("others can replace the gateway's keys: its mode is {mode:o}"),
            format!("`chmod 700 {}`", path.display()),
        );
    }
    let others = if mode & 0o011 == 0 {
        Others::StayOutside
    } else {
        Others::Enter
    };
    match wrong_file(path, metadata.uid(), others) {
        Ok(None) => topic.ok("others can neither read nor write the gateway's keys"),
        Ok(Some(WrongFile { message, hint })) => topic.fail(message, hint),
        Err(error) => unreadable(&topic, &error),
    }
}

fn unreadable(topic: &Topic, error: &io::Error) -> Finding {
    let hint = "run the doctor as the user of the gateway, or as root";
    topic.warn(format!("not checked: {error}"), hint)
}

/// A file that the gateway cannot read, or others can.
struct WrongFile {
    message: String,
    hint: String,
}

/// Whether other users can open the files of a folder, where the files' modes let them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Enter,
    StayOutside,
}

/// The first such file in the folder of this user.
fn wrong_file(folder: &Path, owner: u32, others: Others) -> io::Result<Option<WrongFile>> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // The gateway may have replaced it just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        let path = entry.path();
        let name = path.display();
        if metadata.uid() != owner {
            return Ok(Some(WrongFile {
                message: format!("{name} belongs to another user than its folder"),
                hint: format!("`chown {owner} {name}`: the gateway must be able to read it"),
            }));
        }
        // A group may be meant to read.
        if others == Others::Enter && metadata.is_file() && mode(&metadata) & 0o027 != 0 {
            return Ok(Some(WrongFile {
                message: format!(
                    "others can read or write {name}: its mode is {:o}",
                    mode(&metadata)
                ),
                hint: format!("`chmod 600 {name}`"),
            }));
        }
    }
    Ok(None)
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o777
}
