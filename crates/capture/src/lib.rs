//! Output of what logboom starts: taken exactly, line by line, without changing how the command runs.
//!
//! [`command`] starts a command and reads its streams, through pipes or through terminals of its own ([`pty`]);
//! [`engine`] asks a Docker engine for those of containers; [`lines`] turns the bytes into lines; [`writer`] is the
//! one thread that numbers the records and keeps them.

pub mod command;
pub mod engine;
mod intake;
pub mod lines;
pub mod pty;
pub mod services;
pub mod writer;

pub use intake::Intake;
