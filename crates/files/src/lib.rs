//! What a person can read: session directories, their metadata, timelines and text logs, the rules that keep or delete
//! them, and the rotating logs of components.
//!
//! Everything here is blocking and takes the world (clock, environment, directories) as arguments. The bytes stand in
//! `docs/formats.md`; those of boom files are the business of crate `logboom-boom`.

pub mod attempts;
pub mod bundle;
pub mod component;
pub mod config;
mod error;
pub mod history;
pub mod list;
pub mod repair;
pub mod retention;
pub mod session;
pub mod textlog;
pub mod timeline;
pub mod units;

pub use config::DataDir;
pub use error::{FilesError, with_causes};
pub use session::Session;
