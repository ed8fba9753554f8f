//! The embedded identity servers that live in this process beside the gateway.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;

use base64::Engine as _;

use crate::config::settings::{Provider, ProviderKind, Settings};
use crate::embedded::server::{self as identity, IdentityServer};
use crate::embedded::users::Users;
use crate::embedded::users_file;
use crate::model::secret::Secret;
use crate::system::{self, Clock};

/// The embedded identity servers of this process, each behind a loopback address and a key that
/// only we know.
#[derive(Default)]
pub(super) struct EmbeddedServers {
    known: HashMap<String, (Provider, ProviderKind)>,
    /// Opened and not running yet, by the provider's name.
    pub(super) servers: Vec<(String, IdentityServer, TcpListener)>,
}

impl EmbeddedServers {
    /// Gives every embedded provider of `settings` its address, opening the server on first sight.
    pub(super) fn start(
        &mut self,
        mut settings: Settings,
        clock: &Clock,
    ) -> Result<Settings, String> {
        for (name, provider) in &mut settings.providers {
            let ProviderKind::Embedded { users } = &provider.kind else {
                continue;
            };
            if let Some((wanted, found)) = self.known.get(name) {
                if wanted != provider {
                    return Err(format!(
                        "provider {name}: a change of an embedded provider takes a restart"
                    ));
                }
                provider.kind = found.clone();
                continue;
            }
            let users = users_file::load(users).map_err(|error| error.to_string())?;
            let found = self.open(name, users, (&settings.state_dir, &provider.issuer), clock)?;
            self.known
                .insert(name.clone(), (provider.clone(), found.clone()));
            provider.kind = found;
        }
        Ok(settings)
    }

    fn open(
        &mut self,
        name: &str,
        users: Users,
        settings: (&Path, &str),
        clock: &Clock,
    ) -> Result<ProviderKind, String> {
        let (state_dir, issuer) = settings;
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(system::random::<32>());
        let options = identity::Options {
            users,
            state_dir: state_dir.join(name),
            issuer: issuer.to_owned(),
            api_key: Secret::new(key.as_str()),
            clock: clock.clone(),
        };
        let server =
            identity::open(options).map_err(|error| format!("provider {name}: {error}"))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        self.servers.push((name.to_owned(), server, listener));
        Ok(ProviderKind::Fusionauth {
            url: format!("http://{address}"),
            api_key: Secret::new(key),
            tenant_id: None,
        })
    }
}
