//! The `tokens new` command: makes a service token, and the configuration that accepts it.

use std::process::ExitCode;
use std::time::Duration;

use crate::config::is_name;
use crate::model::service_token::{self, ServiceTokenHash};
use crate::system::{self, Clock};

use super::print;

/// How long the printed configuration accepts the token.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The options of `tokens new`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The name of the token, for logs and for the application: `a-z`, `0-9` and `-`
    #[arg(long, default_value = "my-service", value_parser = token_name)]
    name: String,
}

fn token_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 63 of a-z, 0-9 and `-`".to_owned())
    }
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

#[cfg(test)]
mod tests {
    use super::token_name;

    #[test]
    fn a_name_is_one_that_the_configuration_takes() {
        assert_eq!(
            token_name("nightly-export-2").as_deref(),
            Ok("nightly-export-2")
        );
        for name in ["", "Nightly Export", "a_b", "é", &"a".repeat(64)] {
            assert!(token_name(name).is_err(), "{name:?}");
        }
    }
}
