//! One file per command.

pub mod clean;
pub mod completions;
pub mod compose;
pub mod config;
pub mod docker;
pub mod exec;
pub mod export;
pub mod history;
pub mod import;
pub mod keep_service;
pub mod overview;
pub mod pipe;
pub mod run;
pub mod search;
pub mod session;
pub mod sessions;
pub mod show;
pub mod tail;
pub mod test;
pub mod verify;
