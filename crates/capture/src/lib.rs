//! Output of what logboom starts: taken exactly, line by line, without changing how the command runs.
//!
//! [`command`] starts a command and reads its streams, through pipes or through terminals of its own ([`pty`]);
//! [`lines`] turns the bytes into lines; [`writer`] is the one thread that numbers the records and keeps them. [`docker`] follows
//! containers, [`services`] writes the lines of many at once, [`engine`] is the client of Docker's API; [`compose`] is what is to
//! be known of docker compose; [`results`] finds what test tools tell of their tests; [`waiting`] tells whether a service is ready; [`test_spec`] is the file of a test session; [`open_files`] is the limit that many containers need raised.

pub mod command;
pub mod compose;
pub mod docker;
pub mod engine;
mod intake;
pub mod lines;
pub mod log_session;
pub mod markup;
pub mod masks;
pub mod open_files;
pub mod pty;
pub mod results;
pub mod services;
pub mod test_spec;
pub mod waiting;
pub mod writer;

pub use intake::Intake;
pub use pty::RawMode;
