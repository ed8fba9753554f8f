//! A model of the store that replicas share, with the semantics of the one on Redis.

mod replica;
mod server;
mod stores;

pub use server::Server;
pub use stores::connect;
