//! The stage: a gateway, an identity server behind a door that can be shut, and applications that
//! write down what they were sent.

mod application;
mod binary;
mod client;
mod door;
mod held;
mod hostile;
pub mod http2;
mod phone;
mod redis;
mod scripted;
mod stage;
mod wire;

pub use application::{Application, Received};
pub use binary::{Process, USERS, free, run, store_alone, vestibule};
pub use client::{Browser, Reply, field, raw};
pub use door::Door;
pub use held::{Holding, Listening, Nobody};
pub use hostile::Siege;
pub use http2::Http2Client;
pub use phone::Phone;
pub use redis::Redis;
pub use scripted::{
    CHANGE, CODE, KEYS, LOGIN, REFRESH, Scripted, as_documented, claims, field_error,
};
pub use stage::{PASSWORD, SHOPPER, Stage, until, with_line};
pub use wire::{Line, Witness, ask};
