//! Changes of a users file that leave everything else in it as it is: comments, order, spelling.

use std::fmt;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// A change of one user.
#[derive(Clone, Copy, Debug)]
pub enum Edit<'a> {
    /// Adds a user behind all others.
    Add(&'a NewUser),
    /// Sets the password hash.
    SetPassword(&'a str),
    /// Sets `state = "locked"`.
    Lock,
    /// Removes `state`: the account can be used.
    Unlock,
    /// Removes the user.
    Remove,
}

/// A user to be added.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// Another login name.
    pub username: Option<String>,
    /// The claim `name`.
    pub name: Option<String>,
    /// The roles in all applications.
    pub roles: Vec<String>,
    /// The hash of the password.
    pub password: String,
}

/// Why a users file is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// It is not TOML, or `users` is no list of tables.
    Malformed,
    /// No user has this e-mail address or username.
    NoSuchUser,
    /// A user has this e-mail address or username already.
    UserExists,
}

impl fmt::Display for EditError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Malformed => "`users` is no list of [[users]] tables",
            Self::NoSuchUser => "no user has this e-mail address or username",
            Self::UserExists => "a user has this e-mail address or username already",
        })
    }
}

impl std::error::Error for EditError {}

/// Applies `edit` to the user with this e-mail address or username (in any letter case, as at a
/// sign-in), and gives the new text of the file.
///
/// # Errors
/// Where the user is not there, or is there already, or the text is no users file.
pub fn edit(text: &str, login: &str, edit: Edit<'_>) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse().map_err(|_| EditError::Malformed)?;
    let users = document
        .entry("users")
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let users = users.as_array_of_tables_mut().ok_or(EditError::Malformed)?;
    let at = users.iter().position(|user| is_called(user, login));
    if let Edit::Add(new) = edit {
        let names = [Some(login), new.username.as_deref()];
        let is_taken = |name: &str| users.iter().any(|user| is_called(user, name));
        if names.into_iter().flatten().any(is_taken) {
            return Err(EditError::UserExists);
        }
        users.push(table(login, new));
        return Ok(document.to_string());
    }
    let at = at.ok_or(EditError::NoSuchUser)?;
    if let Edit::Remove = edit {
        users.remove(at);
        return Ok(document.to_string());
    }
    let user = users.get_mut(at).ok_or(EditError::NoSuchUser)?;
    match edit {
        Edit::SetPassword(hash) => set(user, "password", hash),
        Edit::Lock => set(user, "state", "locked"),
        Edit::Unlock => drop(user.remove("state")),
        Edit::Add(_) | Edit::Remove => {}
    }
    Ok(document.to_string())
}

/// Whether a login name is the user's.
fn is_called(user: &Table, login: &str) -> bool {
    let login = login.trim().to_lowercase();
    ["email", "username"].into_iter().any(|key| {
        let name = user.get(key).and_then(Item::as_str);
        name.is_some_and(|name| name.to_lowercase() == login)
    })
}

/// Sets a key. What stands around its value, such as a comment behind it, stays.
fn set(user: &mut Table, key: &str, text: &str) {
    let mut new = toml_edit::Value::from(text);
    if let Some(old) = user.get(key).and_then(Item::as_value) {
        *new.decor_mut() = old.decor().clone();
    }
    user.insert(key, Item::Value(new));
}

fn table(email: &str, new: &NewUser) -> Table {
    let mut user = Table::new();
    user.insert("email", value(email.trim()));
    let names = [("username", &new.username), ("name", &new.name)];
    for (key, text) in names {
        if let Some(text) = text {
            user.insert(key, value(text));
        }
    }
    user.insert("password", value(&new.password));
    if !new.roles.is_empty() {
        let mut roles = toml_edit::InlineTable::new();
        roles.insert("*", Array::from_iter(&new.roles).into());
        user.insert("roles", value(roles));
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::users::AccountState;
    use crate::embedded::users_file::parse;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$6R1fIHzALI+YkIA7O7vr7Q$yMUEaXMm5O58swpOLa+cwnNAVoDzUxdXqpl25W2yCM8";

    /// The users file of the manual, with a comment at each key.
    const TEXT: &str = include_str!("../../../config/users.toml");

    fn edited(login: &str, change: Edit<'_>) -> String {
        let text = edit(TEXT, login, change).unwrap();
        assert!(parse(&text).is_ok(), "{text}");
        text
    }

    /// The lines that are only in one of the texts: those taken out, and those put in.
    fn difference(new: &str) -> (Vec<&'static str>, Vec<String>) {
        let only_in = |a: &str, b: &str| -> Vec<String> {
            let lines: Vec<&str> = b.lines().collect();
            let missing = a.lines().filter(|line| !lines.contains(line));
            missing.map(str::to_owned).collect()
        };
        let old = TEXT
            .lines()
            .filter(|line| !new.lines().any(|it| it == *line));
        (old.collect(), only_in(new, TEXT))
    }

    #[test]
    fn a_change_leaves_all_other_lines() {
        let state = "state = \"active\"                          # \"active\" | \"locked\" | \"expired\" | \"login_prevented\"";
        let locked = edited("ADA@example.com", Edit::Lock);
        let expected = state.replacen("active", "locked", 1);
        assert_eq!(difference(&locked), (vec![state], vec![expected]));
        assert_eq!(
            difference(&edited("ada", Edit::Unlock)),
            (vec![state], vec![])
        );
        let (old, new) = difference(&edited("grace@example.com", Edit::SetPassword(HASH)));
        assert!(old[0].starts_with("password = ") && old.len() == 1);
        // Ada's is the same line.
        assert!(new.is_empty(), "{new:?}");
    }

    #[test]
    fn a_user_is_added_and_removed() {
        let new = NewUser {
            username: Some("linus".into()),
            name: Some("Linus".into()),
            roles: vec!["admin".into(), "staff".into()],
            password: HASH.into(),
        };
        let added = edited("linus@example.com", Edit::Add(&new));
        assert!(added.starts_with(TEXT.trim_end()), "{added}");
        let users = parse(&added).unwrap();
        let user = users.by_login("linus").unwrap();
        assert_eq!(user.email, "linus@example.com");
        assert_eq!(user.roles_in("any"), ["admin", "staff"]);
        assert_eq!(user.state, AccountState::Active);
        let removed = edit(&added, "linus@example.com", Edit::Remove).unwrap();
        assert_eq!(removed.trim_end(), TEXT.trim_end());
    }

    #[test]
    fn the_first_user_of_an_empty_file_is_added() {
        let new = NewUser {
            password: HASH.into(),
            ..NewUser::default()
        };
        let text = edit("# nobody yet\n", "ada@example.com", Edit::Add(&new)).unwrap();
        assert!(
            text.starts_with("# nobody yet\n") || text.ends_with("# nobody yet\n"),
            "{text}"
        );
        assert_eq!(parse(&text).unwrap().all().count(), 1);
    }

    #[test]
    fn who_is_not_there_or_there_already_is_told() {
        assert_eq!(edit(TEXT, "nobody", Edit::Lock), Err(EditError::NoSuchUser));
        let taken = NewUser {
            username: Some("Ada".into()),
            ..NewUser::default()
        };
        assert_eq!(
            edit(TEXT, "other@example.com", Edit::Add(&taken)),
            Err(EditError::UserExists)
        );
        assert_eq!(
            edit("users = 3", "ada", Edit::Lock),
            Err(EditError::Malformed)
        );
        assert_eq!(
            edit("users = [", "ada", Edit::Lock),
            Err(EditError::Malformed)
        );
    }
}
