//! Stories: people and situations, played against the real gateway in this process. One binary, a module each.
#![cfg(test)]

mod first_visit;
mod provider_answers;
mod signing_in;
mod support;
mod web_pages_with_jwt;
