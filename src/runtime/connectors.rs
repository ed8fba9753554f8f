//! The ways from a runtime to the providers and the stores.

use crate::config::settings;
use crate::provider::http_client::{HttpClient, HttpError};
use crate::store::{self, StoreError, Stores};
use crate::system::Clock;

/// What a runtime reaches the providers and the stores with: [`Network`] in the program, models of
/// both in a simulation.
pub trait Connectors {
    /// A client for calls to providers.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    fn http_client(&self) -> Result<HttpClient, HttpError>;

    /// The stores that `settings` name, for a gateway with this clock.
    ///
    /// # Errors
    /// When no connection can be made as `settings` say.
    fn stores(&self, settings: &settings::Store, clock: &Clock) -> Result<Stores, StoreError>;
}

/// Sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

impl Connectors for Network {
    fn http_client(&self) -> Result<HttpClient, HttpError> {
        HttpClient::new()
    }

    fn stores(&self, settings: &settings::Store, clock: &Clock) -> Result<Stores, StoreError> {
        store::open(settings, clock)
    }
}
