//! The stage: a gateway, an identity server behind a door that can be shut, and applications that write down what
//! they were sent.

mod application;
mod client;
mod door;
mod hostile;
mod stage;
mod wire;

pub use application::{Application, Received};
pub use client::{Browser, Reply, raw};
pub use door::Door;
pub use hostile::Siege;
pub use stage::{PASSWORD, SHOPPER, Stage};
pub use wire::{Line, Seen, Witness, ask};
