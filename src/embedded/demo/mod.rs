//! The demo's two applications: a store and a forum, as they might have stood for years.
//!
//! They know nothing of sign-in: no password, no session, no token. They believe the headers they
//! are sent and show them, so that whoever looks at the demo sees what the gateway does for an
//! application that was never changed.

mod app;
mod forum;
mod page;
mod request_info;
mod store;

pub use forum::forum;
pub use store::store;

#[cfg(test)]
mod tests;
