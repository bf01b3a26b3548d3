//! Follows containers: what they print, from where a Docker engine keeps it, into a session.
//!
//! [`streamer`] decides what is followed; [`logfile`] and [`tailer`] read the engine's own log files, [`logs`] what its logs
//! API sends.

mod answers;
mod asking;
mod attach;
mod attached;
mod backlog;
mod closing;
mod containers;
mod counted;
mod detaching;
mod early;
mod ending;
pub mod exec;
mod facts;
pub mod joining;
pub mod jsonfile;
pub mod logfile;
pub mod logs;
pub mod runs;
mod seeking;
pub mod select;
mod service;
mod since;
mod sources;
pub mod streamer;
pub mod tailer;
