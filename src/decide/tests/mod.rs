//! The contract's sentences about decisions, a line each: what is asked and what follows from it.

mod ask;
mod carried;
mod endpoints;
mod guarded;
mod sign_in;
