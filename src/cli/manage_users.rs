//! The `users` commands: the users file of an embedded provider, changed without an editor.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::settings::{ProviderKind, Settings};
use crate::embedded::password_hasher::hash_password;
use crate::embedded::users::{AccountState, User, Users};
use crate::embedded::users_file::{self, Edit, NewUser};
use crate::runtime;

use super::hash_password::read_password;
use super::{WithConfig, loaded, print, print_error};

/// What to do, with which user.
#[derive(Subcommand)]
pub(super) enum Command {
    /// List the users
    List(Provider),
    /// Add a user. The password is read from the terminal, or from standard input
    Add(NewUserArguments),
    /// Set a password, read from the terminal or from standard input. Ends the user's sessions
    Password(OneUser),
    /// Lock a user out. Ends the user's sessions
    Lock(OneUser),
    /// Let a user sign in again
    Unlock(OneUser),
    /// Remove a user. Ends the user's sessions
    Remove(OneUser),
}

/// Whose users file.
#[derive(Args)]
pub(super) struct Provider {
    #[command(flatten)]
    with: WithConfig,
    /// The provider, where there are several with kind = "embedded"
    #[arg(long)]
    provider: Option<String>,
}

/// A user of the file.
#[derive(Args)]
pub(super) struct OneUser {
    #[command(flatten)]
    file: Provider,
    /// The user's e-mail address or username
    user: String,
}

/// A user to be added.
#[derive(Args)]
pub(super) struct NewUserArguments {
    #[command(flatten)]
    file: Provider,
    /// The e-mail address, which is a login name
    email: String,
    /// Another login name
    #[arg(long)]
    username: Option<String>,
    /// The user's name, for applications
    #[arg(long)]
    name: Option<String>,
    /// A role in all applications; may be given several times
    #[arg(long)]
    role: Vec<String>,
}

pub(super) fn command(command: &Command) -> ExitCode {
    let provider = match command {
        Command::List(provider) => provider,
        Command::Add(new) => &new.file,
        Command::Password(one)
        | Command::Lock(one)
        | Command::Unlock(one)
        | Command::Remove(one) => &one.file,
    };
    let settings = match loaded(&provider.with.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let path = users_file(&settings, provider.provider.as_deref());
    match path.and_then(|path| run(command, &path)) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("users: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The users file of the named provider, or of the only embedded one.
fn users_file(settings: &Settings, name: Option<&str>) -> Result<PathBuf, String> {
    let mut found: Vec<(&str, &PathBuf)> = Vec::new();
    for (provider, it) in &settings.providers {
        if let ProviderKind::Embedded { users } = &it.kind
            && name.is_none_or(|name| name == provider)
        {
            found.push((provider, users));
        }
    }
    match (&*found, name) {
        ([(_, path)], _) => Ok((*path).clone()),
        ([], Some(name)) => Err(format!(
            "no provider with kind = \"embedded\" is named {name:?}"
        )),
        ([], None) => Err("no provider has kind = \"embedded\"".to_owned()),
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            Err(format!("name one with --provider: {}", names.join(", ")))
        }
    }
}

/// Runs the command and gives what it prints.
fn run(command: &Command, path: &Path) -> Result<String, String> {
    let (login, done) = match command {
        Command::List(_) => return read(path).map(|users| list(&users)),
        Command::Add(new) => (&new.email, "added"),
        Command::Password(one) => (&one.user, "has a new password"),
        Command::Lock(one) => (&one.user, "is locked"),
        Command::Unlock(one) => (&one.user, "can sign in"),
        Command::Remove(one) => (&one.user, "removed"),
    };
    let hash = match command {
        Command::Add(_) | Command::Password(_) => new_hash(&read(path)?)?,
        Command::List(_) | Command::Lock(_) | Command::Unlock(_) | Command::Remove(_) => {
            String::new()
        }
    };
    match command {
        Command::Add(new) => {
            let user = NewUser {
                username: new.username.clone(),
                name: new.name.clone(),
                roles: new.role.clone(),
                password: hash,
            };
            change(path, login, Edit::Add(&user))?;
        }
        Command::Password(_) => change(path, login, Edit::SetPassword(&hash))?,
        Command::Lock(_) => change(path, login, Edit::Lock)?,
        Command::Unlock(_) => change(path, login, Edit::Unlock)?,
        Command::Remove(_) => change(path, login, Edit::Remove)?,
        Command::List(_) => {}
    }
    Ok(format!(
        "{}: {login} {done}; a running gateway takes it within 5 seconds",
        path.display()
    ))
}

fn read(path: &Path) -> Result<Users, String> {
    users_file::load(path).map_err(|error| error.to_string())
}

/// The hash of a password that is read now, and that the policy of the file accepts.
fn new_hash(users: &Users) -> Result<String, String> {
    let password = read_password()?;
    let violations = users.password_policy.violations(&password);
    if let Some(violation) = violations.first() {
        return Err(format!(
            "[password] of the file refuses it: {}",
            violation.message()
        ));
    }
    hash_password(&password).map_err(|error| error.to_string())
}

/// Changes the file as a whole: whoever reads it meanwhile gets the old or the new text. Two
/// commands wait for one another.
fn change(path: &Path, login: &str, edit: Edit<'_>) -> Result<(), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    // A link stays a link.
    let path = path.canonicalize().map_err(told)?;
    let _lock = locked(&path).map_err(told)?;
    let text = std::fs::read_to_string(&path).map_err(told)?;
    let changed =
        users_file::edit(&text, login, edit).map_err(|error| format!("{login}: {error}"))?;
    users_file::parse(&changed).map_err(|problems| {
        let first = problems.first();
        let told = first.map(|first| format!("{}:{}: {}", first.line, first.column, first.message));
        format!("the file would not be usable: {}", told.unwrap_or_default())
    })?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return Err(format!("{}: this is no path of a file", path.display()));
    };
    runtime::replace_file(folder, name, changed.as_bytes()).map_err(told)
}

/// An exclusive lock on the file that `path` names. It ends with the value.
fn locked(path: &Path) -> io::Result<File> {
    loop {
        let file = File::open(path)?;
        file.lock()?;
        // Another command may have put another file there meanwhile.
        if file.metadata()?.ino() == std::fs::metadata(path)?.ino() {
            return Ok(file);
        }
    }
}

/// The users in columns: e-mail address, username, state, roles, and the second factor.
fn list(users: &Users) -> String {
    let rows: Vec<[String; 4]> = users.all().map(|user| row(user)).collect();
    let widths = rows.iter().fold([0; 4], |widths, row| {
        std::array::from_fn(|at| {
            let length = row.get(at).map_or(0, |cell| cell.chars().count());
            widths.get(at).copied().unwrap_or(0).max(length)
        })
    });
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(user: &User) -> [String; 4] {
    let state = match user.state {
        AccountState::Active if user.must_change_password.is_some() => "must change password",
        AccountState::Active if !user.email_verified => "not verified",
        AccountState::Active => "active",
        AccountState::Locked => "locked",
        AccountState::Expired => "expired",
        AccountState::LoginPrevented => "login prevented",
    };
    let roles: Vec<&str> = user.roles.values().flatten().map(String::as_str).collect();
    let mut more = if roles.is_empty() {
        "-".to_owned()
    } else {
        roles.join(",")
    };
    if user.two_factor.is_some() {
        more += "  two-factor";
    }
    [
        user.email.clone(),
        user.username.clone().unwrap_or_else(|| "-".to_owned()),
        state.to_owned(),
        more,
    ]
}
