//! Stories: people and situations, played against the real gateway in this process. One binary, a module each.
#![cfg(test)]

mod first_visit;
mod forged_headers;
mod framing;
mod hostile_paths;
mod kept_connections;
mod support;
