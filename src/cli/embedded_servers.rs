//! The embedded identity servers that run in this process beside the gateway.

use std::collections::HashMap;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::settings::{Provider, ProviderKind, Settings};
use crate::embedded::identity_server::{self as identity, IdentityServer};
use crate::embedded::users_file;
use crate::model::secret::Secret;
use crate::system::{self, Clock};

/// The embedded identity servers of this process. Each listens on a loopback address and takes an
/// API key that is made at random when it starts.
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
            let found = {
                let options = identity::Options {
                    users,
                    state_dir: settings.state_dir.join(name),
                    issuer: provider.issuer.clone(),
                    api_key: Secret::new(URL_SAFE_NO_PAD.encode(system::random::<32>())),
                    clock: clock.clone(),
                };
                self.open(name, options)?
            };
            self.known
                .insert(name.clone(), (provider.clone(), found.clone()));
            provider.kind = found;
        }
        Ok(settings)
    }

    /// Opens one server on a loopback port; gives the provider that reaches it.
    fn open(&mut self, name: &str, options: identity::Options) -> Result<ProviderKind, String> {
        let api_key = options.api_key.clone();
        let server =
            identity::open(options).map_err(|error| format!("provider {name}: {error}"))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        self.servers.push((name.to_owned(), server, listener));
        Ok(ProviderKind::Fusionauth {
            url: format!("http://{address}"),
            api_key,
            tenant_id: None,
        })
    }
}
