//! The output of many services at once, written into one session.

pub mod feed;
