//! What tests of the writer share: a disk that can fail, and a plain reader that takes the format by its word.

mod read;
mod sim;

pub(crate) use read::{Read, read};
pub(crate) use sim::{Disk, Fault, OpKind};
