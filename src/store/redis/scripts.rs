//! The Lua scripts that the server runs atomically.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};

use super::super::StoreError;
use super::call_span;
use super::command_connection::{CommandConnection, Connection};

/// A script, and its SHA-1, which names it once the server has seen it.
pub(super) struct Script {
    /// Its name, for traces.
    name: &'static str,
    code: &'static str,
    hash: String,
}

/// A script with its keys and arguments.
pub(super) struct Invocation<'a> {
    script: &'a Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(stringify!($name), include_str!($file)));)*
    };
}

scripts! {
    READ_SESSION = "scripts/read_session.lua";
    END_SESSION = "scripts/end_session.lua";
    ACQUIRE = "scripts/acquire.lua";
    EXTEND = "scripts/extend.lua";
    COMPLETE = "scripts/complete.lua";
    PUT_CHECKPOINT = "scripts/put_checkpoint.lua";
    READ_CHECKPOINT = "scripts/read_checkpoint.lua";
    RELEASE = "scripts/release.lua";
    REVOKE = "scripts/revoke.lua";
    PUT_PENDING = "scripts/put_pending.lua";
    RESERVE = "scripts/reserve.lua";
}

/// The error for a reply that none of these scripts returns.
pub(super) fn unexpected_reply() -> StoreError {
    StoreError("unexpected reply".to_owned())
}

impl Script {
    fn new(name: &'static str, code: &'static str) -> Self {
        Self {
            name,
            code,
            hash: redis::Script::new(code).get_hash().to_owned(),
        }
    }

    /// Starts an invocation with its keys, which must be in one hash slot.
    pub(super) fn keys(&self, keys: impl Into<Vec<String>>) -> Invocation<'_> {
        Invocation {
            script: self,
            keys: keys.into(),
            args: Vec::new(),
        }
    }
}

impl Invocation<'_> {
    /// Appends an argument.
    pub(super) fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Runs the script: one round trip, or two where the server does not know the script yet.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        connections: &CommandConnection,
    ) -> Result<T, StoreError> {
        let call = async {
            let active = connections.active().await?;
            let reply = self.invoke_on(&active.connection).await;
            reply.map_err(|error| connections.report(&error, active.generation))
        };
        call_span::recorded(|| self.script.name.to_ascii_lowercase(), call).await
    }

    async fn invoke_on<T: FromRedisValue>(&self, connection: &Connection) -> Result<T, RedisError> {
        let by_hash = self.command("EVALSHA", &self.script.hash);
        match connection.query(&by_hash).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection
                    .query(&self.command("EVAL", self.script.code))
                    .await
            }
            result => result,
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.args);
        command
    }
}
