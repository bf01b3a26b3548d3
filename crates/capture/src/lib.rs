//! Output of what logboom starts: taken exactly, line by line, without changing how the command runs.
//!
//! [`command`] starts a command and reads its streams, through pipes or through terminals of its own ([`pty`]);
//! [`lines`] turns the bytes into lines; [`writer`] is the one thread that numbers the records and keeps them. [`services`] does
//! that for many runs at once, whose sources can be read again where a killed writer left them.

pub mod command;
mod intake;
pub mod lines;
pub mod pty;
pub mod services;
pub mod writer;

pub use intake::Intake;
