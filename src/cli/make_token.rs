//! The `tokens new` command: makes a service token, and the configuration that accepts it.

use std::process::ExitCode;
use std::time::Duration;

use crate::model::service_token::{self, ServiceTokenHash};
use crate::system::{self, Clock};

use super::print;

/// How long the printed configuration accepts the token.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The options of `tokens new`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The name of the token, for logs and for the application: `a-z`, `0-9` and `-`
    #[arg(long, default_value = "my-service")]
    name: String,
}

pub(super) fn command(arguments: &Arguments) -> ExitCode {
    let token = service_token::from_random(&system::random());
    let hash = ServiceTokenHash::of(&token);
    let expires = Clock::new().now().plus(LIFETIME).date();
    let name = &arguments.name;
    print(&format!(
        "{token}\n\n# Give the token to the client: it is not stored. Its hash goes below the site's [[sites]]:\n\
         [[sites.tokens]]\nname = {name:?}\nsha256 = \"{hash}\"\nroles = []\nexpires = {expires}"
    ));
    ExitCode::SUCCESS
}
