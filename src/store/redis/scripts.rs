//! What is done on the server in one go.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};

use super::super::StoreError;
use super::link::{Connection, Link};

/// A script and its hash, by which a server knows it from the second time on.
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

/// The keys and arguments of one run.
pub(super) struct Run<'a> {
    script: &'a Script,
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

macro_rules! scripts {
    ($($(#[$about:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$about])* pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!($file)));)*
    };
}

scripts! {
    READ_SESSION = "scripts/read_session.lua";
    END_SESSION = "scripts/end_session.lua";
    LEASE = "scripts/lease.lua";
    EXTEND = "scripts/extend.lua";
    LAND = "scripts/land.lua";
    RELEASE = "scripts/release.lua";
    REVOKE = "scripts/revoke.lua";
    RESERVE = "scripts/reserve.lua";
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }

    pub(super) fn on(&self, keys: impl Into<Vec<String>>) -> Run<'_> {
        Run {
            script: self,
            keys: keys.into(),
            arguments: Vec::new(),
        }
    }
}

impl Run<'_> {
    pub(super) fn with(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// One round trip, and a second one where the server does not know the script yet.
    pub(super) async fn over<T: FromRedisValue>(&self, link: &Link) -> Result<T, StoreError> {
        let (connection, number) = link.connection().await?;
        self.ask(&connection)
            .await
            .map_err(|error| link.failed(&error, number))
    }

    async fn ask<T: FromRedisValue>(&self, connection: &Connection) -> Result<T, RedisError> {
        match connection
            .ask(&self.command("EVALSHA", &self.script.hash))
            .await
        {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection
                    .ask(&self.command("EVAL", self.script.code))
                    .await
            }
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.arguments);
        command
    }
}
