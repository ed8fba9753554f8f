//! The `keys rotate` command: makes a new key that seals cookies. The keys before it go on opening
//! them.

use std::path::Path;
use std::process::ExitCode;

use crate::runtime::cookie_keys;
use crate::system::Clock;

use super::{BAD_CONFIG, loaded, print, print_error};

pub(super) fn command(path: &Path) -> ExitCode {
    let settings = match loaded(path) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if !settings.cookie_keys.is_empty() {
        print_error(&format!(
            "keys rotate: the keys stand in `cookies.keys` of {}, not in state_dir: make one with `openssl rand \
             -base64 32`, put it at the end of the list on every replica, then at its start, and take the last one \
             away once `cookies.max_age` has passed",
            path.display()
        ));
        return ExitCode::from(BAD_CONFIG);
    }
    let file = settings.state_dir.join(cookie_keys::FILE);
    match cookie_keys::rotate(&settings.state_dir, Clock::new().now()) {
        Ok(count) => {
            print(&format!(
                "{}: a new key seals from now on, {} open; a running gateway takes it within 5 seconds",
                file.display(),
                if count == 1 {
                    "it alone can".to_owned()
                } else {
                    format!("all {count} can")
                },
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("keys rotate: {}: {error}", file.display()));
            ExitCode::FAILURE
        }
    }
}
