//! Deferred calls as a collector and its writer see them.
#![allow(clippy::unwrap_used)] // tests may

mod calls;
mod collected;
mod damage;
mod fields;
mod same;
