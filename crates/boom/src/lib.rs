//! The boom file: what a run printed, in compressed blocks that can be read and searched while it is written.
//!
//! [`Writer`] writes, [`reader::Reader`] reads, also while the file is written. [`format`](mod@format) alone knows the
//! bytes, [`filter`] what a search can rule out without reading a block. Records of a run keep their order and their seq;
//! what was lost is a gap in its place. Nothing here knows sessions, directories or text logs.

pub mod block;
mod boom_file;
mod bucket;
mod columns;
mod encode;
mod error;
pub mod filter;
pub mod format;
pub mod gram_query;
mod pipeline;
pub mod reader;
mod storage;
mod tail;
#[cfg(test)]
mod testing;
pub mod verify;
mod writer;

pub use error::BoomError;
pub use writer::{Health, NewRecord, Options, RunSlot, Sealed, Writer};
