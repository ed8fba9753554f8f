//! The configuration of the gateways.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vestibule::config::settings::{SealingKeyBytes, Settings};
use vestibule::config::{FakeEnvironment, check_text};
use vestibule::model::site::Site;

use super::provider::{APPLICATION, ISSUER};
use super::schedule::{Options, Product};

/// The origin of the one site.
pub const ORIGIN: &str = "http://store.localhost:8080";
/// Its host.
pub const HOST: &str = "store.localhost:8080";
/// Its name.
pub const SITE: &str = "store";

/// The settings for these options, with these sealing keys.
pub fn settings(options: &Options, keys: &[[u8; 32]]) -> Settings {
    let mut settings = parsed(Text {
        sessions: options.sessions,
        shared: options.shared_store,
        oidc: options.product != Product::FusionAuth,
    });
    settings.cookie_keys = keys.iter().copied().map(SealingKeyBytes).collect();
    for site in &mut settings.sites {
        let changed = Site {
            cookie_max_age: Duration::from_secs(options.max_age),
            ..(**site).clone()
        };
        *site = changed.into();
    }
    settings
}

/// What decides the text of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Text {
    sessions: bool,
    shared: bool,
    oidc: bool,
}

/// Parsing is most of the work, so it is done once for each text.
fn parsed(of: Text) -> Settings {
    static PARSED: Mutex<BTreeMap<Text, Settings>> = Mutex::new(BTreeMap::new());
    let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    let parse = || {
        let text = text(of);
        check_text("simulation.toml", &text, &FakeEnvironment::default())
            .unwrap_or_else(|problems| panic!("{problems}"))
    };
    parsed.entry(of).or_insert_with(parse).clone()
}

fn text(of: Text) -> String {
    let store = if of.shared {
        "backend = \"redis\"\nurl = \"redis://127.0.0.1:1\""
    } else {
        "backend = \"memory\""
    };
    let credential = if of.sessions { "session" } else { "jwt" };
    let provider = if of.oidc {
        format!(
            "kind = \"oidc\"\nclient_id = \"{APPLICATION}\"\nclient_secret = \"a-client-secret\""
        )
    } else {
        "kind = \"fusionauth\"\napi_key = \"an-api-key\"".to_owned()
    };
    format!(
        r#"
state_dir = "/nonexistent"

[server]
listen = ["127.0.0.1:1"]

[providers.main]
{provider}
url = "http://127.0.0.1:1"
issuer = "{ISSUER}"
algorithms = ["ES256"]

[store]
{store}

[cookies]
keys = ["MuS8AqfM801yaS238IqpRRAuKQvrSDLVZzuYcBXYy08="]

[login]
account_limit = {{ attempts = 1000, per = "1m" }}
address_limit = {{ attempts = 1000, per = "1m" }}

[[sites]]
name = "{SITE}"
origin = "{ORIGIN}"
application_id = "{APPLICATION}"
upstreams = ["http://127.0.0.1:1"]
credential = "{credential}"
bearer = true
default_access = "required"
landing = "/"
"#
    )
}
