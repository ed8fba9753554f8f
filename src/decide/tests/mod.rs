//! The contract's sentences about decisions, a line each: what is asked and what follows from it.

mod api;
mod ask;
mod carried;
mod circle;
mod cors;
mod endpoints;
mod guarded;
mod hosted;
mod sign_in;
mod steps;
mod unsent;
