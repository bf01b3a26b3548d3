//! What a collector promises, as a program that embeds it sees it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod ends;
mod facade;
mod faults;
mod isolation;
mod killed;
mod left;
mod loggers;
mod recovers;
mod sessions;
#[path = "../../../files/tests/small_disk/mod.rs"]
mod small_disk;
mod spans;
