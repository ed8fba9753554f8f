//! The `hash-password` command: reads a password from the terminal without echo, or from standard
//! input, and prints its argon2id hash.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use super::{print, print_error};

pub(super) fn command() -> ExitCode {
    match read_password().and_then(|password| {
        crate::embedded::password_hasher::hash_password(&password).map_err(|e| e.to_string())
    }) {
        Ok(hash) => {
            print(&hash);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("hash-password: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Reads a new password: twice from a terminal, without echo, or the first line of standard input.
///
/// # Errors
/// What is wrong, for an operator.
pub(super) fn read_password() -> Result<String, String> {
    if std::io::stdin().is_terminal() {
        typed()
    } else {
        piped()
    }
}

fn typed() -> Result<String, String> {
    let first = rpassword::prompt_password("Password: ").map_err(|error| error.to_string())?;
    let again = rpassword::prompt_password("Again: ").map_err(|error| error.to_string())?;
    if first == again {
        not_empty(first)
    } else {
        Err("the two passwords differ".into())
    }
}

fn piped() -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    // One line end comes from the shell; everything else belongs to the password.
    let line = line.strip_suffix('\n').unwrap_or(&line);
    not_empty(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn not_empty(password: String) -> Result<String, String> {
    if password.is_empty() {
        Err("the password is empty".into())
    } else {
        Ok(password)
    }
}
