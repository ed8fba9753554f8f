//! What the operator wrote, checked.

pub mod settings;
