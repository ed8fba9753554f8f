//! Sessions and the refresh tokens that carry them on.
//!
//! A refresh token works once; using it replaces it. The database holds hashes only. Within the grace period a used
//! token brings its successor, which rests sealed under the used token itself: whoever cannot present the one
//! cannot read the other. After the grace period a used token is taken for stolen, and its session ends: thief and
//! owner cannot be told apart (RFC 9700, section 4.14.2).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redb::{Database, Error, ReadableDatabase, ReadableTable, Table};
use serde::{Deserialize, Serialize};

use super::database::{self, JsonTable};
use super::ids;
use crate::model::moment::Moment;
use crate::model::secret::Secret;

/// By session id.
pub const SESSIONS: JsonTable = JsonTable::new("sessions");
/// By the hash of a refresh token, used ones included until their session ends.
pub const REFRESH_TOKENS: JsonTable = JsonTable::new("refresh_tokens");

/// One sign-in, from the password to the sign-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A UUID: `sid` of the access tokens, `refreshTokenId` of the API.
    pub id: String,
    /// Whose.
    pub user: String,
    /// The application they signed in to.
    pub application: String,
    /// When, in milliseconds.
    pub started: u64,
    /// When it is over, in milliseconds, however often it was renewed.
    pub expires: u64,
}

/// What came of presenting a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is good; this is the one to use from now on.
    Renewed(Session, Secret),
    /// It was used before, longer ago than the grace period. Its session, of this user, is over.
    Reused(String),
    /// It never was, or is over.
    Dead,
}

/// Which sessions an operation is about; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those of this user.
    pub user: Option<String>,
    /// Those of this application.
    pub application: Option<String>,
}

impl Selection {
    fn holds(&self, session: &Session) -> bool {
        self.user.as_ref().is_none_or(|user| *user == session.user)
            && self.application.as_ref().is_none_or(|application| *application == session.application)
    }
}

#[derive(Serialize, Deserialize)]
struct TokenRow {
    session: String,
    used: Option<Use>,
}

#[derive(Serialize, Deserialize)]
struct Use {
    at: u64,
    /// Sealed; cleared when the grace period is over.
    successor: Option<String>,
}

/// Where sessions rest.
#[derive(Clone)]
pub struct Sessions {
    database: Arc<Database>,
    lifetime: Duration,
    grace: Duration,
}

type Rows<'a> = Table<'a, &'static str, &'static [u8]>;

impl Sessions {
    /// In `database`, each for `lifetime`, with a `grace` period for used tokens.
    #[must_use]
    pub fn new(database: Arc<Database>, lifetime: Duration, grace: Duration) -> Self {
        Self { database, lifetime, grace }
    }

    /// Begins a session; its first refresh token.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(&self, user: &str, application: &str, now: Moment) -> Result<(Session, Secret), Error> {
        let session = Session {
            id: ids::random_uuid(),
            user: user.to_owned(),
            application: application.to_owned(),
            started: now.millis(),
            expires: now.plus(self.lifetime).millis(),
        };
        let token = Secret::new(ids::random_secret());
        let write = self.database.begin_write()?;
        database::put(&mut write.open_table(SESSIONS)?, &session.id, &session)?;
        let row = TokenRow { session: session.id.clone(), used: None };
        database::put(&mut write.open_table(REFRESH_TOKENS)?, &ids::hashed(token.expose()), &row)?;
        write.commit()?;
        Ok((session, token))
    }

    /// Uses up `token` for its successor.
    ///
    /// # Errors
    /// When the database fails.
    pub fn renew(&self, token: &str, now: Moment) -> Result<Renewal, Error> {
        let write = self.database.begin_write()?;
        let renewal = {
            let mut sessions = write.open_table(SESSIONS)?;
            let mut tokens = write.open_table(REFRESH_TOKENS)?;
            let Some((row, session)) = living(&sessions, &tokens, token, now)? else { return Ok(Renewal::Dead) };
            match row.used {
                None => Renewal::Renewed(session, replace(&mut tokens, token, &row.session, now)?),
                Some(used) if now <= Moment::from_millis(used.at).plus(self.grace) => {
                    match newest(&tokens, token, used)? {
                        Some(current) => Renewal::Renewed(session, current),
                        None => Renewal::Dead,
                    }
                }
                Some(_) => {
                    sessions.remove(session.id.as_str())?;
                    Renewal::Reused(session.user)
                }
            }
        };
        write.commit()?;
        Ok(renewal)
    }

    /// The living session that `token` belongs to, used or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn of_token(&self, token: &str, now: Moment) -> Result<Option<Session>, Error> {
        let read = self.database.begin_read()?;
        let found = living(&read.open_table(SESSIONS)?, &read.open_table(REFRESH_TOKENS)?, token, now)?;
        Ok(found.map(|(_, session)| session))
    }

    /// The living session with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn by_id(&self, id: &str, now: Moment) -> Result<Option<Session>, Error> {
        let read = self.database.begin_read()?;
        let session: Option<Session> = database::get(&read.open_table(SESSIONS)?, id)?;
        Ok(session.filter(|session| session.expires > now.millis()))
    }

    /// The living sessions of `selection`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list(&self, selection: &Selection, now: Moment) -> Result<Vec<Session>, Error> {
        let read = self.database.begin_read()?;
        let mut found = Vec::new();
        for entry in read.open_table(SESSIONS)?.iter()? {
            let session: Session = database::parsed(entry?.1.value())?;
            if selection.holds(&session) && session.expires > now.millis() {
                found.push(session);
            }
        }
        Ok(found)
    }

    /// Ends one session; ending what is over already is a success.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end(&self, id: &str) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        write.open_table(SESSIONS)?.remove(id)?;
        write.commit()?;
        Ok(())
    }

    /// Ends every session of `selection`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end_all(&self, selection: &Selection) -> Result<(), Error> {
        self.keep(|session| !selection.holds(session))
    }

    /// Forgets what is over: sessions, the tokens of sessions that are no more, and successors past their grace.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge(&self, now: Moment) -> Result<(), Error> {
        self.keep(|session| session.expires > now.millis())?;
        let write = self.database.begin_write()?;
        {
            let sessions = write.open_table(SESSIONS)?;
            let mut tokens = write.open_table(REFRESH_TOKENS)?;
            let mut dead = Vec::new();
            let mut past_grace = Vec::new();
            for entry in tokens.iter()? {
                let (hash, bytes) = entry?;
                let row: TokenRow = database::parsed(bytes.value())?;
                if sessions.get(row.session.as_str())?.is_none() {
                    dead.push(hash.value().to_owned());
                } else if let Some(Use { at, successor: Some(_) }) = row.used
                    && Moment::from_millis(at).plus(self.grace) < now
                {
                    let row = TokenRow { session: row.session, used: Some(Use { at, successor: None }) };
                    past_grace.push((hash.value().to_owned(), row));
                }
            }
            for hash in dead {
                tokens.remove(hash.as_str())?;
            }
            for (hash, row) in past_grace {
                database::put(&mut tokens, &hash, &row)?;
            }
        }
        write.commit()?;
        Ok(())
    }

    fn keep(&self, keeps: impl Fn(&Session) -> bool) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        // What cannot be read proves nothing and goes.
        write.open_table(SESSIONS)?.retain(|_, bytes| database::parsed(bytes).is_ok_and(|session| keeps(&session)))?;
        write.commit()?;
        Ok(())
    }
}

fn living(
    sessions: &impl ReadableTable<&'static str, &'static [u8]>,
    tokens: &impl ReadableTable<&'static str, &'static [u8]>,
    token: &str,
    now: Moment,
) -> Result<Option<(TokenRow, Session)>, Error> {
    let Some(row) = database::get::<TokenRow>(tokens, &ids::hashed(token))? else { return Ok(None) };
    let session: Option<Session> = database::get(sessions, &row.session)?;
    Ok(session.filter(|session| session.expires > now.millis()).map(|session| (row, session)))
}

fn replace(tokens: &mut Rows<'_>, token: &str, session: &str, now: Moment) -> Result<Secret, Error> {
    let successor = ids::random_secret();
    let used = Use { at: now.millis(), successor: sealed(token, &successor) };
    database::put(tokens, &ids::hashed(token), &TokenRow { session: session.to_owned(), used: Some(used) })?;
    database::put(tokens, &ids::hashed(&successor), &TokenRow { session: session.to_owned(), used: None })?;
    Ok(Secret::new(successor))
}

/// Follows the successors of a used token to the one that was not used yet.
fn newest(tokens: &Rows<'_>, token: &str, used: Use) -> Result<Option<Secret>, Error> {
    let mut current = token.to_owned();
    let mut used = Some(used);
    while let Some(Use { successor, .. }) = used {
        let Some(successor) = successor.and_then(|sealed| opened(&current, &sealed)) else { return Ok(None) };
        let Some(row) = database::get::<TokenRow>(tokens, &ids::hashed(&successor))? else { return Ok(None) };
        current = successor;
        used = row.used;
    }
    Ok(Some(Secret::new(current)))
}

/// The key is of 256 random bits and seals this one text, so the nonce may be fixed.
fn key_of(token: &str) -> Option<LessSafeKey> {
    let bytes = digest(&SHA256, format!("successor of {token}").as_bytes());
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes.as_ref()).ok()?))
}

fn sealed(token: &str, successor: &str) -> Option<String> {
    let mut text = successor.as_bytes().to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    key_of(token)?.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).ok()?;
    Some(URL_SAFE_NO_PAD.encode(text))
}

fn opened(token: &str, sealed: &str) -> Option<String> {
    let mut text = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let plain = key_of(token)?.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
    String::from_utf8(plain.to_vec()).ok()
}
