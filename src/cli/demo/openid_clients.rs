//! The clients of the demo's identity server: one for each provider of the configuration, with the
//! addresses of its sites.

use std::sync::Arc;

use crate::config::settings::{ClientProof, Settings};
use crate::embedded::openid::clients::{OpenIdSettings, RegisteredClient};
use crate::model::redirect_login::CALLBACK;

/// What the identity server, whose issuer is `issuer`, needs to know of the gateway.
pub(super) fn openid_settings(settings: &Settings, issuer: &str) -> OpenIdSettings {
    OpenIdSettings {
        url: issuer.to_owned(),
        clients: settings
            .providers
            .keys()
            .filter_map(|name| registered_client(settings, name))
            .map(Arc::new)
            .collect(),
        account_limit: settings.login.account_limit,
        address_limit: settings.login.address_limit,
    }
}

/// The client that the gateway is at the provider with this name.
fn registered_client(settings: &Settings, name: &str) -> Option<RegisteredClient> {
    let client = settings.providers.get(name)?.client.as_ref()?;
    let ClientProof::Secret(secret) = &client.proof else {
        return None;
    };
    let sites = || settings.sites.iter().filter(|site| site.provider == name);
    let hooks = settings.server.admin;
    Some(RegisteredClient {
        id: client.id.clone(),
        secret: secret.clone(),
        redirect_uris: sites()
            .map(|site| format!("{}{CALLBACK}", site.origin))
            .collect(),
        post_logout_redirect_uris: sites()
            .map(|site| format!("{}{}", site.origin, site.after_logout))
            .collect(),
        backchannel_logout_uri: hooks
            .map(|address| format!("http://{address}/hooks/backchannel-logout/{name}")),
    })
}
