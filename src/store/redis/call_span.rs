//! Calls to the server, as traces tell them: the command or the script, and whether it was answered.
//! No key and no value.

use std::future::Future;
use std::pin::pin;

use redis::{Arg, Cmd};

use super::super::StoreError;
use crate::system;
use crate::telemetry::span::{SpanKind, SpanOutcome, Work};
use crate::telemetry::trace;

/// Makes a call, and records it with the request that it is made for. `operation` names it; it is
/// not called where nothing is recorded.
pub(super) async fn recorded<T>(
    operation: impl FnOnce() -> String,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let call = pin!(call);
    if !trace::is_recorded() {
        return call.await;
    }
    let began = system::stopwatch();
    let result = call.await;
    trace::record_call(began, system::stopwatch(), || span(operation(), &result));
    result
}

fn span<T>(operation: String, result: &Result<T, StoreError>) -> Work {
    let name = format!("store {operation}").into();
    let mut attributes = vec![
        ("db.system.name", "redis".into()),
        ("db.operation.name", operation.into()),
    ];
    let outcome = match result {
        Ok(_) => {
            attributes.push(("vestibule.result", "ok".into()));
            SpanOutcome::Unset
        }
        Err(_) => {
            attributes.push(("vestibule.result", "failed".into()));
            attributes.push(("error.type", "store_error".into()));
            SpanOutcome::Error
        }
    };
    Work {
        name,
        kind: SpanKind::Client,
        attributes,
        outcome,
    }
}

/// The name of a command, which is its first word. What follows may be a key or a value.
pub(super) fn command_name(command: &Cmd) -> String {
    match command.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_names_the_command_and_nothing_that_follows() {
        let mut command = redis::cmd("SET");
        command.arg("vestibule:session:secret").arg("value");
        let failed: Result<(), _> = Err(StoreError("secret".into()));
        for result in [Ok(()), failed] {
            let span = span(command_name(&command), &result);
            assert_eq!(span.name, "store SET");
            assert!(!format!("{span:?}").contains("secret"), "{span:?}");
        }
    }
}
