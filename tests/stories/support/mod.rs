//! The stage: a gateway, an identity server behind a door that can be shut, and applications that
//! write down what they were sent.

mod application;
mod binary;
mod certificates;
mod client;
mod collector;
mod door;
mod held;
mod hooks;
mod hostile;
pub mod http2;
pub mod openid;
mod phone;
mod redis;
mod scripted;
mod secure_server;
mod servers;
mod stage;
mod tls;
mod wire;

pub use application::{Application, Received};
pub use binary::{Process, USERS, free, run, store_alone, vestibule};
pub use certificates::Authority;
pub use client::{Browser, Reply, exchange, field, raw};
pub use collector::{Collected, Collector, traced};
pub use door::Door;
pub use held::{Holding, Listening, Nobody};
pub use hooks::{LOGOUT, Message};
pub use hostile::Siege;
pub use openid::OpenId;
pub use phone::Phone;
pub use redis::Redis;
pub use scripted::{
    CHANGE, CODE, KEYS, LOGIN, REFRESH, Scripted, as_documented, claims, field_error,
};
pub use secure_server::SecureServer;
pub use servers::{Kept, Server, read_head};
pub use stage::{PASSWORD, SHOPPER, Stage, until, with_line};
pub use tls::{Pair, Trust};
pub use wire::{Line, Witness, ask};
