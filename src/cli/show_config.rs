//! The `config` command: the effective configuration.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Environment as _, SystemEnvironment};

use super::{loaded, print, print_error};

pub(super) fn command(path: &Path) -> ExitCode {
    if let Err(status) = loaded(path) {
        return status;
    }
    let text = SystemEnvironment.file(path).map_err(|it| it.to_string());
    let effective = text.and_then(|text| {
        config::effective(&text).ok_or_else(|| "the file has just changed: try again".to_owned())
    });
    match effective {
        Ok(text) => {
            print(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("config: {}: {error}", path.display()));
            ExitCode::FAILURE
        }
    }
}
