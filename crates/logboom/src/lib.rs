//! The library that programs embed: their `log` and `tracing` calls, and direct calls, in session files of their choice.

pub mod deferred;
mod frame;
pub mod ring;
