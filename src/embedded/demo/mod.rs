//! The two applications of the demo: a store and a forum.
//!
//! They have no sign-in of their own: no passwords and no tokens. They trust the identity headers
//! of each request and show them on every page. So the demo shows what the gateway does for an
//! application that was not changed for it. Like other applications they keep a session of their
//! own, and each page shows for whom it was opened.

mod app_session;
mod demo_pages;
mod request_info;
mod sample_forum;
mod sample_store;
mod single_page_app;

pub use sample_forum::forum;
pub use sample_store::store;

#[cfg(test)]
mod tests;
